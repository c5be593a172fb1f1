#!/bin/sh
# Tests of what a newcomer stumbles over: names of outputs, files that would be replaced, wrong paths, messages.
# Usage: test_cli_newcomer.sh MOTE
# shellcheck source=tests/cli.inc.sh
. "$(dirname "$0")/cli.inc.sh"
tiny="--dim 16 --layers 1 --heads 2 --hidden 32 --context 16 --batch 4 --tokenizer char --sample-every 0 --quiet"
code "a model to work with" 0 train text.txt -o m.gguf $tiny --steps 3
model=$(sum m.gguf)

# ---- one rule for replacing files
code "init" 0 init -o other.gguf --dim 16 --layers 1 --vocab 64
other=$(sum other.gguf)
writes() { # NAME ARGUMENT...: with other.gguf as output
    which=$1
    shift
    code "$which: a model is not replaced" 2 "$@"
    says "$which: and which one" "^error: other.gguf is there already: the model would be replaced"
    says "$which: and what to do" "^hint: give another name, or --force to replace it"
    check "$which: and it is left alone" "$(sum other.gguf)" "$other"
    cp other.gguf kept
    code "$which --force" 0 "$@" --force
    [ "$(sum other.gguf)" != "$other" ] && ok "$which --force replaces it" || fail "$which --force replaces it"
    cp text.txt other.gguf
    code "$which --force: but no text" 2 "$@" --force
    says "$which --force: but no text, says so" "^error: other.gguf is there already and no model"
    : >other.gguf
    code "$which: an empty file is replaced" 0 "$@"
    rm -rf other.run
    cp kept other.gguf
    code "help $which" 0 help "$which"
    grep -q -- '--force' out && ok "$which: help has --force" || fail "$which: help has --force"
}
writes train train text.txt -o other.gguf $tiny --steps 2
writes quantize quantize m.gguf other.gguf
writes convert convert m.gguf other.gguf
writes init init -o other.gguf --dim 32 --layers 1 --vocab 64
check "what was read is left alone" "$(sum m.gguf)" "$model"
code "convert to .bin" 0 convert m.gguf other.bin
before=$(sum other.bin)
code "a .bin is not replaced" 2 convert other.gguf other.bin
code "a .bin is replaced with --force" 0 convert m.gguf other.bin --force
check "and is the same again" "$(sum other.bin)" "$before"
cp text.txt pytorch.bin
code "a .bin that is no model is not, with --force" 2 convert m.gguf pytorch.bin --force
mkdir spared
cp m.gguf spared/m.gguf
cp m.gguf spared/m.html
for command in "convert other.bin spared/m.gguf --tokenizer" "quantize other.bin spared/m.gguf --tokenizer" \
    "convert m.gguf spared/m.gguf --lora" "train text.txt --from other.bin -o spared/m.gguf --tokenizer-file"; do
    code "${command%% *}: what is read beside the model stays" 2 $command spared/../spared/m.gguf --force
    says "${command%% *}: and says what it is" "^error: spared/m.gguf is the \(tokenizer\|adapter\) itself"
done
code "profile: the model does not become a page" 2 profile decode spared/m.html -n 2 -o spared/m.html
check "and all are left alone" "$(sum spared/m.gguf) $(sum spared/m.html)" "$model $model"
mkdir there empty
cp text.txt there/notes.txt
code "convert into an empty folder" 0 convert m.gguf empty/
for force in "" --force; do
    code "convert into a folder with files $force" 2 convert m.gguf there $force
    says "convert into a folder with files, says so" "^error: there is a folder that holds files and no model"
done
check "and makes none" "$(ls there)" notes.txt
mkdir project
printf '{"mine":1}' >project/config.json
code "convert into a folder of another program" 2 convert m.gguf project/ --force
check "and its settings stay" "$(ls project) $(cat project/config.json)" 'config.json {"mine":1}'
cp text.txt empty/notes.txt
code "convert into the folder of a model" 2 convert m.gguf empty
says "convert into the folder of a model, says so" "^error: empty is a folder that holds a model: it would be replaced"
says "convert into the folder of a model, what to do" "^hint: give another name, or --force"
head -c 100 empty/model.safetensors >cut.safetensors
cp cut.safetensors empty/model.safetensors
code "a damaged one is replaced with --force" 0 convert m.gguf empty --force
cmp -s text.txt empty/notes.txt && ok "what is no model's stays" || fail "what is no model's stays"
cp -r empty other
tokens=$(sum other/tokenizer.json)
rm empty/tokenizer.json
ln -s ../other/tokenizer.json empty/tokenizer.json
for path in other/tokenizer.json empty/tokenizer.json other; do
    code "--tokenizer $path in the folder of output" 2 convert other.bin empty/ --tokenizer $path --force
    says "--tokenizer $path in the folder of output, says so" \
        "^error: empty/tokenizer.json is \(the tokenizer itself\|a file of the tokenizer\): it would be replaced"
done
check "and it stays" "$(sum other/tokenizer.json)" "$tokens"
code "--tokenizer elsewhere" 0 convert other.bin empty/ --tokenizer m.gguf --force
code "a page is replaced" 0 profile decode m.gguf -n 2 -o p.html
code "a page is replaced" 0 profile decode m.gguf -n 2 -o p.html
# A model that appears under the name of the output while the run waits for the other end of a pipe.
meanwhile() { # PIPE FILE ARGUMENT...: the file is what the run reads from the pipe
    pipe=$1 input=$2
    shift 2
    mkfifo "$pipe"
    ( # one that ends without reading must not leave the other end waiting
        "$mote" "$@" >out 2>err </dev/null
        ended=$?
        : <>"$pipe"
        exit $ended
    ) &
    run=$!
    exec 3>"$pipe" # opened when the run has begun to read
    cp other.gguf late.gguf
    cat "$input" >&3 2>/dev/null
    exec 3>&-
    wait $run
    check "$1: a model that appears meanwhile" "$?, $(sum late.gguf)" "2, $(sum other.gguf)"
    says "$1: a model that appears meanwhile, says so" "^error: late.gguf is there already"
    rm -f "$pipe" late.gguf
}
meanwhile later.txt text.txt quantize m.gguf late.gguf --evaluate later.txt
mkdir waits
cp empty/tokenizer_config.json tokenizer_config.json
cp empty/tokenizer.json waits/
meanwhile waits/tokenizer_config.json tokenizer_config.json convert other.bin late.gguf --tokenizer waits
mkdir dir.html
code "a page is no folder" 2 profile decode m.gguf -n 2 -o dir.html
for command in "init -o" "convert m.gguf" "quantize m.gguf" "profile decode m.gguf -n 2 -o"; do
    case $command in profile*) path=p.html ;; *) path=x.gguf ;; esac
    code "${command%% *}: output in no folder" 7 $command missing/$path
    says "${command%% *}: output in no folder, what to do" "mkdir -p missing/$"
    code "${command%% *}: output in a file" 7 $command text.txt/$path
    says "${command%% *}: output in a file, what to do" "^hint: give a name in a folder of yours"
done
# A hint that is typed as it stands does what it says, whatever is in the name.
for folder in "it's" 'a "b" $HOME' "two words" -dash- 'back\`'; do
    code "convert into no folder $folder" 7 convert m.gguf "./$folder/x.gguf"
    sed -n 's/^hint: make it first: //p' err >typed
    sh typed && [ -d "./$folder" ] && ok "and its hint makes $folder" || fail "and its hint makes $folder"
    code "tokenize $folder" 3 tokenize m.gguf "$PWD/$folder"
    : >"./$folder/inside"
    sed -n 's/^hint: name a file in it: //p' err >typed
    check "and its hint lists $folder" "$(sh typed)" inside
    code "a file not in $folder" 3 show "$PWD/$folder/zzzzzz.gguf"
    sed -n 's/^hint: \(ls .*\) lists what is there$/\1/p' err >typed
    check "and its hint lists it as well" "$(sh typed)" inside
done
code "init in a folder with a dash" 7 init -o -n-/x.gguf
says "init in a folder with a dash: no option of mkdir" "mkdir -p ./-n-/$"
code "init: standard output" 2 init -o -
says "init: standard output, what to do" "^hint: for example mote init -o random.gguf"

# ---- a link is written through, into the folder of what it points to
mkdir locked unlocked
cp m.gguf locked/m.gguf
cp m.gguf unlocked/m.gguf
ln -s ../locked/m.gguf unlocked/link.gguf
ln -s ../unlocked/m.gguf locked/link.gguf
chmod 755 "$work"
chmod 555 locked
chmod 777 unlocked
someone= # root writes everywhere
[ "$(id -u)" -ne 0 ] || someone="setpriv --reuid 65534 --regid 65534 --clear-groups"
if $someone "$mote" --version >out 2>err && ! $someone test -w locked; then
    $someone "$mote" convert m.gguf unlocked/link.gguf --type f16 --force >out 2>err
    check "convert to a link into a folder of others" $? 7
    says "convert to a link into a folder of others, says so" "/locked/m.gguf into the folder .*/locked/: Permission"
    $someone "$mote" convert m.gguf locked/link.gguf --type f16 --force >out 2>err
    check "convert to a link out of a folder of others" $? 0
    [ "$(sum unlocked/m.gguf)" != "$model" ] && ok "and its target is replaced" || fail "and its target is replaced"
else skip "links and folders of others" "this user cannot be another"; fi
chmod 755 locked

# ---- what is replaced is told when nothing else can go wrong
fails_before() { # CODE MESSAGE ARGUMENT...: before anything is replaced
    wanted=$1 message=$2
    shift 2
    code "train $*" "$wanted" train "$@" -o other.gguf --force
    says "train $*: why" "^error: .*$message"
    grep -q '^replaces' err && fail "train $* replaces nothing" || ok "train $* replaces nothing"
}
fails_before 3 "cannot open missing.txt" missing.txt
fails_before 6 "memory" text.txt --dim 8192 --layers 64 --batch 4096 --context 4096
fails_before 7 "no.so" text.txt --blas ./no.so
check "and nothing is" "$(sum other.gguf)" "$other"
code "train --force" 0 train text.txt -o other.gguf --dim 16 --layers 1 --context 16 --batch 4 --steps 1 --force
says "what it replaces" "^replaces   other.gguf, with the first save after step 0$"
check "and says it after the choices" "$(grep '^replaces\|^memory' err | cut -d' ' -f1 | tr '\n' ' ')" \
    "memory replaces "

# ---- endings
for path in x.bin x.BIN x.txt x.safetensors x x/; do
    code "train -o $path" 2 train text.txt -o $path $tiny --steps 2
    says "train -o $path: what to do" "^hint: .*\.gguf"
    code "init -o $path" 2 init -o $path
    code "quantize to $path" 2 quantize m.gguf $path
done
check "and nothing is made" "$(ls -d x x.* 2>/dev/null)" ""
code "train -o in capitals" 0 train text.txt -o CAPS.GGUF $tiny --steps 2
[ -s CAPS.run/run.jsonl ] && ok "and its run folder" || fail "and its run folder"
code "convert to .GGUF" 0 convert m.gguf x.GGUF
head -c 4 x.GGUF | grep -q GGUF && ok "and it is a file" || fail "and it is a file"
code "convert to .Bin" 0 convert m.gguf x.Bin
[ -f x.Bin ] && ok "and it is a file" || fail "and it is a file"
for path in llama-3.2-1B v1.5 .hidden a.b/; do
    code "convert to $path" 0 convert m.gguf $path
    [ -s $path/config.json ] && ok "and it is a folder" || fail "and it is a folder"
done
for path in x.gguff x.q4_0 x.folder x.onnx; do
    code "convert to $path" 2 convert m.gguf $path
    says "convert to $path: the endings" "the endings are .gguf (GGUF), .bin (llama2.c) and none or a / at the end"
done

# ---- a tokenizer is given as a file or as the folder it lies in
code "convert to a folder" 0 convert m.gguf folder/
code "and to llama2.c" 0 convert folder/ l.bin
says "and the folder is named as its tokenizer" "give folder/ as --tokenizer"
mkdir alone
cp folder/tokenizer.json alone/
story=$("$mote" generate m.gguf -p 'The ' -n 20 --temperature 0 | sha256sum)
for path in folder folder/ alone alone/tokenizer.json; do
    check "generate --tokenizer $path" "$("$mote" generate l.bin --tokenizer $path -p 'The ' -n 20 --temperature 0 |
        sha256sum)" "$story"
done
code "eval --tokenizer FOLDER" 0 eval l.bin text.txt --tokenizer folder
code "train --tokenizer-file FOLDER" 0 train text.txt --from l.bin --tokenizer-file folder -o tuned.gguf --steps 2 -q
printf 'The fox' >words.txt
code "tokenize with a folder" 0 tokenize alone words.txt --ids
cp out ids
code "tokenize with the model" 0 tokenize m.gguf words.txt --ids
check "the same ids" "$(cat out)" "$(cat ids)"
for command in "generate l.bin -p a --tokenizer" "tokenize"; do
    code "${command%% *}: a folder without a tokenizer" 3 $command there.no/../empty.no
    mkdir -p empty.no
    code "${command%% *}: a folder without a tokenizer" 3 $command empty.no
    says "${command%% *}: says so" "^error: empty.no is a folder without "
    rm -r empty.no
    code "${command%% *}: a text as tokenizer" 3 $command text.txt
    says "${command%% *}: and what to do" "^hint: a.*Hugging Face folder"
done

# ---- paths in a config file begin at its folder, and so do those of a run that goes on
mkdir -p one two
cp m.gguf one/base.gguf
tune="--steps 4 --batch 4 --sample-every 0 --quiet --save-every 2 --keep 9"
(cd one && "$mote" train ../text.txt --from base.gguf -o tuned.gguf $tune) >out 2>err
check "train --from in another folder" $? 0
grep -q '"from":"../base.gguf"' one/tuned.run/config.json && ok "config.json names the model from its folder" ||
    fail "config.json names the model from its folder" "$(cut -c 1-60 one/tuned.run/config.json)"
tuned=$(sum one/tuned.gguf)
(cd two && "$mote" train ../text.txt -o tuned.gguf --config ../one/tuned.run/config.json -q) >out 2>err
check "--config from another folder" "$?, $(sum two/tuned.gguf)" "0, $tuned"
rm one/tuned.run/step-000000004.checkpoint
code "resume from another folder" 0 train text.txt --from one/base.gguf -o one/tuned.gguf --resume -q
check "resume from another folder: the same bits" "$(sum one/tuned.gguf)" "$tuned"
code "and by its absolute name" 0 train text.txt --from "$work/two/../one/base.gguf" -o one/tuned.gguf --resume -q
code "and from no other model" 2 train text.txt --from m.gguf -o one/tuned.gguf --resume -q
says "and names both" '--from is given as "m.gguf", but the run was begun with "one/base.gguf"'
mv one moved
(cd / && "$mote" train "$work/text.txt" -o "$work/two/tuned.gguf" --config "$work/moved/tuned.run/config.json" -q \
    --force) >out 2>err
check "and after the folders have moved" "$?, $(sum two/tuned.gguf)" "0, $tuned"
printf '{"from":"%s/m.gguf","output":"written.gguf","steps":2,"batch":4,"quiet":true}' "$work" >two/c.json
printf '{"lora":["nope"],"steps":2,"quiet":true}' >two/lora.json
code "a config file with an adapter of no model" 2 train text.txt --config two/lora.json -o none.gguf
says "a config file with an adapter of no model, says so" "^error: --lora belongs to a model"
code "a config file with an absolute path" 0 train text.txt --config two/c.json
[ -s two/written.gguf ] && ok "and -o from its folder" || fail "and -o from its folder"

mkdir -p hub/snapshot hub/blobs
cp folder/tokenizer.json hub/blobs/c0de
ln -s ../blobs/c0de hub/snapshot/tokenizer.json
code "a tokenizer that is a link" 0 train text.txt --from l.bin --tokenizer-file hub/snapshot/tokenizer.json \
    -o linked.gguf --steps 2 -q
grep -q '"tokenizer-file":"../hub/snapshot/tokenizer.json"' linked.run/config.json &&
    ok "and keeps what lies beside it" || fail "and keeps what lies beside it"
code "and is the same file as what it names" 0 train text.txt --tokenizer-file hub/blobs/c0de -o linked.gguf --resume -q
ln -s ../linked.gguf two/link.gguf
printf '{"from":"../m.gguf","output":"link.gguf","steps":2,"batch":4,"quiet":true,"force":true}' >two/c.json
code "an output in a config file that is a link" 0 train text.txt --config two/c.json
[ -s two/link.run/run.jsonl ] && ok "and its run is beside it" || fail "and its run is beside it"

# ---- a run is no model
for command in show generate "bench" "train text.txt -o none.gguf --from" "tokenize" "convert"; do
    case $command in convert) rest=none.gguf ;; *) rest= ;; esac
    code "$command m.run/" 3 $command m.run/ $rest
    says "$command m.run/: says so" "^error: m.run/ is the folder of a training run, and no model"
    says "$command m.run/: what to do" "^hint: the model of the run is m.gguf"
done
code "generate from a checkpoint" 3 generate m.run/step-000000003.checkpoint
says "generate from a checkpoint: says so" "is a checkpoint of a training run, and no model"
says "generate from a checkpoint: what to do" "^hint: the model of the run is m.gguf"
(cd m.run && "$mote" generate step-000000003.checkpoint) 2>err
says "generate from a checkpoint: inside" "is a checkpoint of a training run"

# ---- a plan for a finished model
code "plan --from" 0 plan text.txt --from m.gguf --json
json "plan --from --json" parameters training inference config
grep -q '"from":"m.gguf"' out && grep -q '"dim":16,' out && ok "plan --from has the model's shape" ||
    fail "plan --from has the model's shape"
cp out plan.json
code "and train --from does what it says" 0 train text.txt --from m.gguf -o planned.gguf -q --steps 2 --json
check "the same learning rate" "$(grep -o '"lr":[0-9.e-]*' plan.json)" "$(grep -o '"lr":[0-9.e-]*' \
    planned.run/config.json)"
check "the same parameters" "$(grep -o '"parameters":[0-9]*' plan.json)" "$(grep -o '"parameters":[0-9]*' out)"
some="--dim 16 --layers 1 --context 16 --batch 4 --steps 2 --validation 0.2 --skip-bad"
code "plan of a new model" 0 plan text.txt $some --json
sed 's/.*"config":\({[^}]*}\).*/\1/' out | sed 's/"vocab":[0-9]*,//' >plan.json # the text says how many
code "and its training" 0 train text.txt $some -o planned.gguf -q --force
check "plan tells what config.json will hold" "$(cat plan.json)" "$(cat planned.run/config.json)"
code "plan --from without a text" 0 plan --from l.bin --tokens 5000
grep -q '^text       none: 5000 tokens of a vocabulary' out && ok "and says what it assumes" ||
    fail "and says what it assumes"
code "plan --from with a text: a tokenizer is needed" 3 plan text.txt --from l.bin
code "plan --from and another shape" 2 plan --from m.gguf --dim 64
says "plan --from and another shape, says so" "--dim is given as 64, but m.gguf has 16"
code "plan: adapters of no model" 2 plan --lora x
code "plan of a model as text" 3 plan m.gguf
says "plan of a model as text, says so" "^error: m.gguf is a model (GGUF), where a text is needed"
says "plan of a model as text, what to do" "^hint: .*--from MODEL"
code "help plan" 0 help plan
grep -q -- '--from MODEL' out && ok "help plan has --from" || fail "help plan has --from"

# ---- a model where a text is needed
for command in "train m.gguf -o none.gguf" "eval m.gguf l.bin" "quantize m.gguf none.gguf --evaluate l.bin"; do
    code "${command%% *}: a model as text" 3 $command
    says "${command%% *}: a model as text, says so" "is a model (.*), where a text is needed"
    says "${command%% *}: a model as text, what to do" "^hint: .*TEXT"
done
for command in "train folder/ -o none.gguf" "plan text.txt folder" "eval m.gguf folder/" "tokenize m.gguf folder" \
    "quantize m.gguf none.gguf --calibrate folder"; do
    code "${command%% *}: a model's folder as text" 3 $command
    says "${command%% *}: a model's folder as text, says so" "folder/\{0,1\} is a model (Hugging Face), where a text"
done
mkdir settings
cp text.txt settings/
printf '{"a":1}' >settings/config.json
code "a folder of texts with a config.json is one of texts" 0 plan settings

# ---- both streams in one pipe: messages come behind what was printed before them
"$mote" profile decode --dim 16 --layers 24 --context 16 -n 2 --all-layers -o p.html 2>&1 | cat >both
check "a note comes behind the table" "$(tail -n 1 both)" "wrote p.html"
[ "$(wc -c <both)" -gt 4096 ] && ok "which is longer than a buffer" || fail "which is longer than a buffer"

# ---- what train says does not contradict itself
head -c 3000 text.txt >short.txt
code "ten steps" 0 train short.txt -o short.gguf --steps 10
check "ten steps: no other number of them" "$(grep '^choice' err | grep -o '[0-9][0-9]* steps' | sort -u)" ""
says "ten steps: how the batch came about" "^choice     batch .* tokens a step, at most a quarter of the text$"
says "ten steps: evaluated twice" "^evaluate   every 5 steps"
check "ten steps: a loss stands at the step it is of" "$(sed -n 's|^step \([0-9]*\)/10 .*val.*|\1|p' err)" 5
code "three steps" 0 train short.txt -o short.gguf --steps 3 --force
says "three steps: evaluated at the end" "^evaluate   at the end, val over all"
check "three steps: and not before" "$(grep -c '^step .*val' err)" 0
code "steps of less than an evaluation reads" 0 train text.txt -o short.gguf --context 64 --batch 1 --steps 100 --force
every=$(sed -n 's/^evaluate   every \([0-9]*\) steps.*/\1/p' err)
[ "${every:-0}" -ge 20 ] && ok "it is evaluated less often" || fail "it is evaluated less often" "every $every"
code "--evaluate-every as it is given" 0 train short.txt -o short.gguf --steps 6 --evaluate-every 1 --force
check "and each step has a loss" "$(grep -c '^step .*val' err)" 5
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "%c", 97 + (s = (s * 1103 + 12345) % 65536) / 2521 }' >noise.txt
code "overfitting" 0 train noise.txt -o short.gguf --validation 0.4 --steps 300 --force
says "overfitting: on which tokens" "^overfit    over the [0-9]* tokens measured on the way, validation loss was lower"

# ---- bench stays within the context
code "bench beyond the context" 0 bench m.gguf -p 512 -n 17 -r 1
says "bench beyond the context: says so" "^note       the model's context is 16 tokens: pp512 becomes pp16$"
says "bench beyond the context: of both" "tg17 becomes tg16$"
check "bench beyond the context: its rows" "$(grep -o '[pt][pg][0-9][0-9]*' out | tr '\n' ' ')" "pp16 tg16 "
code "bench within the context" 0 bench m.gguf -p 16 -n 16 -r 1 --json
grep -q '"test":"pp16"' out && ok "and says nothing of it" || fail "and says nothing of it"
check "bench within the context: nothing on standard error" "$(wc -c <err | tr -d ' ')" 0

# ---- every error names the file or the value, and says what to do next
: >void
mkdir -p empty.dir
head -c 2000 m.gguf >cut.gguf
printf '{"a":1}\n' >x.json
wrong() { # CODE NAMED ARGUMENT...: fails so, the error names this, and there is one hint
    wanted=$1 named=$2
    shift 2
    "$mote" "$@" >out 2>err </dev/null
    got=$?
    if [ $got -ne "$wanted" ]; then fail "mote $*" "exit code $got, wanted $wanted"
    elif ! grep '^error: ' err | grep -qF -- "$named"; then fail "mote $*" "the error does not name $named"
    elif [ "$(grep -c '^hint: ..........' err)" -ne 1 ]; then fail "mote $*" "no hint"
    else ok "mote $*"; fi
}
for command in "train" "plan" "eval m.gguf"; do
    for text in missing void empty.dir m.gguf l.bin; do wrong 3 $text $command $text; done
done
for command in generate chat show inspect bench "profile decode" "eval @ text.txt" tokenize "convert @ none.gguf" \
    "quantize @ none.gguf" "train text.txt -o none.gguf --from"; do
    for model in missing void empty.dir text.txt cut.gguf; do
        case $command in
        *@*) wrong 3 $model ${command%%@*} $model ${command#*@} ;;
        *) wrong 3 $model $command $model ;;
        esac
    done
done
for value in -5 x 1.5 "" 99999999999999999999; do
    wrong 2 "--layers" plan --layers "$value"
    wrong 2 "-n" generate m.gguf -n "$value"
done
for value in -1 x 1e999 ""; do wrong 2 "--lr" plan --lr "$value"; done
says "a wrong value: what the option is" "^hint: --lr is: peak learning rate"
wrong 2 "--type" quantize m.gguf none.gguf --type q4
says "a type cut short" "did you mean q4_0?"
wrong 2 "--steps needs a value" train text.txt --steps
wrong 2 "--tied" plan --tied=1
wrong 2 "--tied" plan --untied --tied
wrong 2 "--resume" train text.txt --resume --force
wrong 2 "needs MODEL TEXT" eval m.gguf
says "an argument missing: an example" "^hint: for example: mote eval model.gguf held-out.txt"
wrong 2 '"more"' show m.gguf more
wrong 2 "width 33" plan --dim 33 --heads 2
wrong 2 "size 7" plan --dim 7
wrong 2 "--position is 100" show m.gguf --position 100
wrong 2 "q8_0" convert m.gguf none/ --type q8_0
wrong 3 "empty.dir" generate m.gguf --lora empty.dir
wrong 3 "x.json" generate m.gguf --tokenizer x.json
wrong 3 "cut.gguf" generate l.bin -p a --tokenizer cut.gguf
says "a damaged file with a tokenizer" "^hint: the file is damaged or not complete"
code "a model without a tokenizer" 0 init -o untold.gguf --dim 16 --layers 1 --vocab 64
wrong 3 "untold.gguf: holds no tokenizer" generate l.bin -p a --tokenizer untold.gguf
says "a file without a tokenizer" "^hint: a tokenizer is in a GGUF file"
wrong 3 "empty.dir" train text.txt --config empty.dir
wrong 3 "text.txt: not JSON" train text.txt --config text.txt
wrong 3 "empty.dir" tokenize m.gguf empty.dir
wrong 3 "m.gguf is a model" tokenize m.gguf m.gguf
wrong 3 '"The"' tokenize m.gguf --text text.txt
wrong 3 "l.bin" inspect l.bin
{ printf 'GGUF\377\0\0\0'; tail -c +9 m.gguf; } >later.gguf
wrong 3 "GGUF version 255" show later.gguf
grep -q '^hint: the file is damaged' err && fail "a later version is not damaged" || ok "a later version is not damaged"
wrong 2 '"trian"' trian
wrong 2 '"--trian"' --trian
check "and nothing is made" "$(ls -d none* model.* 2>/dev/null)" ""
near() { # NAME HINT ARGUMENT...: a name that is not there, and the one that is
    name=$1 hint=$2
    shift 2
    code "$name" 3 "$@"
    says "$name: $hint" "^hint: $hint"
}
near "a slip in a name" "did you mean text.txt?" train texy.txt
near "a slip in a model's name" "did you mean two/tuned.gguf?" generate two/tunde.gguf -p a
near "a slip, and a word of its letters" "did you mean two/tuned.gguf?" generate -p o two/tunde.gguf
near "a slip in an option's file" "did you mean m.gguf?" train text.txt --from=n.gguf -o none.gguf
near "a name like no other" "it was looked for in $work" eval m.gguf no-such-thing
near "an absolute name" "ls $work/two/ lists" show "$work/two/no-such-thing"
near "a folder that is a file" "text.txt is a file and no folder" show text.txt/m.gguf
near "a folder that is a file, as text" "text.txt is a file and no folder" train text.txt/more/b.txt -o none.gguf
for command in show "train -o none.gguf" "tokenize m.gguf" "generate m.gguf -p a --tokenizer" "eval m.gguf"; do
    near "$command '': an empty name" "the name is empty" $command ""
done
: >taken.run
code "a file where the run's folder would be" 7 train text.txt -o taken.gguf $tiny
says "a file where the run's folder would be: what to do" \
    "^hint: give another -o FILE: its run is in the folder taken.run"
long=$(printf 'x%.0s' $(seq 200))
for path in $long/$long/m.gguf $long$long; do
    case $path in */*) reason="No such file or directory" ;; *) reason="File name too long" ;; esac
    code "show a long name" 3 show $path
    says "show a long name: the reason" "^error: cannot open x.*[.][.][.].*: $reason"
    says "show a long name: what to do" "^hint: "
    code "write a long name" 7 convert m.gguf $long/$path/m.gguf
    says "write a long name: the reason" "^error: cannot write x.*: there is no folder x.*: [NF]"
done
near "a folder that is not there" "there is no folder nowhere/" show nowhere/m.gguf

# ---- what is said of a choice is what runs
for minutes in 0.01 0.04; do
    code "--minutes $minutes" 0 train text.txt -o chosen.gguf --minutes $minutes --force
    said=$(sed -n 's/^choice     dropout \([0-9.]*\):.*/\1/p' err)
    check "--minutes $minutes: dropout" "${said:-0}" "$(sed 's/.*"dropout":\([0-9.]*\).*/\1/' chosen.run/config.json)"
done

code "plan: its rows" 0 plan text.txt
check "plan: rows sum to the total" "$(awk '/^training/ { on = 1 } /^inference/ { on = 0 }
    on && /^  [a-z]/ && $1 != "work" {
    $1 == "total" ? all = $2 : sum += $2 } END { print (all > 0) * (sum == all) }' out)" 1
finish

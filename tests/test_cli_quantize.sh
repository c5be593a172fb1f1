#!/bin/sh
# Tests of mote quantize: what it lost, gates and nothing written where they are not met, and what is refused.
# Usage: test_cli_quantize.sh MOTE
# shellcheck source=tests/cli.inc.sh
. "$(dirname "$0")/cli.inc.sh"
code "a model of whole blocks" 0 train text.txt -o m.gguf $small --steps 3
printf 'GGUF is not this' >bad.gguf

code "train a model to quantize" 0 train text.txt -o float.gguf --dim 48 --layers 2 --heads 2 --hidden 80 --context 32 \
    --batch 8 --steps 60 --tokenizer char --quiet
awk 'NR > 120' text.txt >later.txt
fields="bits_per_weight file_bytes perplexity_before perplexity_after kl_mean kl_p99 top1_agreement quantize_seconds"
fields="$fields tokens_per_second_before tokens_per_second_after tensors gates ram_bytes method written"
for type in q8_0 q4_0 q3h q43 i8 q3_k q4_k iq4_nl f16 bf16 f32; do
    rm -f small.gguf
    code "quantize --type $type" 0 quantize float.gguf small.gguf --force --type $type --calibrate text.txt --json
    code "$type runs" 0 eval small.gguf later.txt --json
done
code "quantize to blocks longer than the rows" 0 quantize float.gguf small.gguf --force --type q4_k
says "and says what that costs" "^note       q4_k takes up to 24.0 bits a weight, not 4.5, in .* blocks of 256"
code "quantize some to blocks longer than the rows" 0 quantize float.gguf small.gguf --force \
    --keep 'head=q6_k,*ffn_up*=i8'
says "of any type" "^note       q6_k takes up to 35.0 bits a weight, not 6.562, in 1 tensor: .* blocks of 256"
says "also i8" "^note       i8 takes up to 11.3 bits a weight, not 8, in 2 tensors: .* blocks of 32"
code "quantize to halves of a block" 0 quantize float.gguf small.gguf --force --type q3h
says "quantize to halves of a block: 48 and 80 are padded to 64 and 96" "^note       q3h .* blocks of 32 and are padded"
code "a model of 224 is a whole number of them" 0 init -o wide.gguf --dim 224 --layers 1 --heads 7 --hidden 224 \
    --vocab 64
code "quantize it" 0 quantize wide.gguf small.gguf --force --type q3h
check "and nothing is padded" "$(grep -c '^note .*padded' err; grep -c ' padded' out)" "$(printf '0\n0')"
code "quantize it to what pads a little" 0 quantize wide.gguf small.gguf --force --type q3_k
says "and says so" "^note       q3_k takes up to 3.9 bits a weight, not 3.438, in 8 tensors"
code "quantize to blocks that fit" 0 quantize m.gguf small.gguf --force --type q4_0
grep -q '^note .*bits a weight' err && fail "and says nothing" || ok "and says nothing"
code "quantize --json" 0 quantize float.gguf small.gguf --force --type q4_0 --calibrate text.txt \
    --evaluate later.txt --json
grep -q '^warning' err && fail "and warns of nothing" || ok "and warns of nothing"
json "quantize --json has its keys" $fields
cp out report.json
"$mote" eval small.gguf later.txt --json >out 2>err
if [ $have_python = 1 ]; then
    python3 - <<'END' && ok "the report is true of the file" || fail "the report is true of the file"
import json, os
r, e = json.load(open("report.json")), json.load(open("out"))
rows = r["tensors"]
ok = r["file_bytes"] == os.path.getsize("small.gguf") and r["written"]
ok &= abs(r["perplexity_after"] / e["perplexity"] - 1) < 1e-5
ok &= all(t["type"] == ("f32" if "norm" in t["name"] else "q4_0") for t in rows)
ok &= all({"name", "type", "bits", "error"} <= t.keys() for t in rows)
bits = sum(t["bits"] * t["weights"] for t in rows) / sum(t["weights"] for t in rows)
ok &= abs(bits - r["bits_per_weight"]) < 1e-4 and r["method"] == "gptq" and 0 < r["kl_mean"] < r["kl_p99"]
exit(not ok)
END
else skip "the report is true of the file" "python3 is not there"; fi
code "quantize for people" 0 quantize float.gguf small.gguf --force --type q4_0 --method rtn --evaluate later.txt
grep -q '^perplexity  *[0-9.]* -> [0-9.]* (.* tokens of --evaluate$' out && ok "and says what it lost" ||
    fail "and says what it lost"
code "the table of quantize" 0 quantize float.gguf small.gguf --force --type q4_0 --calibrate text.txt \
    --keep '*attn_v*=f32' \
    --gate ppl=90%,bytes=1MB
awk '/^tensor/ { n = 1; width = index($0, "bits/weight") + 10 }
    n && /weight  / { rows++; if (substr($0, width - 10, 11) !~ /^ *([0-9]+[.][0-9][0-9][0-9]|bits.weight)$/) wrong++ }
    END { exit !(rows == 2 + 2 * 7 && !wrong) }' out && ok "and its columns are in line" ||
    fail "and its columns are in line"
grep -q '^blk.0.attn_v.weight  *f32  *rtn  *32.000  *0.000 %$' out && ok "with what is kept in f32" ||
    fail "with what is kept in f32"
grep -q '^blk.1.ffn_down.weight .* %  padded$' out && grep -q '^padded: rows are filled up' out &&
    ok "and what is padded" || fail "and what is padded"
grep -q '^error: of the weights, .*; gptq takes more' out && ok "and says what an error is" ||
    fail "and says what an error is"
grep -q '^perplexity .* of the last tenth of --calibrate$' out && ok "and on which text" || fail "and on which text"
[ "$(grep -c '^\(gates\|  *\) [a-z ]*[0-9.e-]* [%b].*: met$' out)" = 2 ] && ok "and gates stand in columns" ||
    fail "and gates stand in columns"
head -c 40 text.txt >tiny.txt
code "quantize by a few tokens" 0 quantize float.gguf small.gguf --force --type q4_0 --calibrate tiny.txt --json
says "quantize by a few tokens: warns" "^warning: calibrated with 36 tokens, fewer than 80, which .* full rank"
says "and of the loss" "^warning: the loss was measured over 4 tokens, fewer than 1000"
tells='"calibration_tokens":36,"calibration_tokens_least":80,.*"warnings":\["calibrated with 36 .*","the loss was'
grep -q "$tells" out && ok "and in JSON" || fail "and in JSON"
code "quantize without a text" 0 quantize float.gguf small.gguf --force --json
says "says that the loss is not known" "only the error of the weights"
grep -q '"perplexity_after":null' out && ok "and JSON has null" || fail "and JSON has null"
code "quantize to a number of bits" 0 quantize float.gguf small.gguf --force --type mixed --target-bits 7 \
    --calibrate text.txt --json
[ "$(sed 's/.*"bits_per_weight":\([0-9]*\).*/\1/' out)" -lt 7 ] && ok "and keeps to it" || fail "and keeps to it"
code "quantize --keep" 0 quantize float.gguf small.gguf --force --type q4_0 --keep 'head=q8_0,*attn_v*=f16' --json
grep -q '"token_embd.weight","type":"q8_0"' out && grep -q 'attn_v.weight","type":"f16"' out &&
    ok "and keeps them" || fail "and keeps them"
code "--keep: two types for head and embedding" 2 quantize float.gguf q.gguf --keep 'head=q8_0,embedding=f16'
says "--keep: two types, says that they are one" "^hint: head and embedding of this model are one tensor"
code "gates that are met" 0 quantize float.gguf small.gguf --force --type q8_0 --evaluate later.txt \
    --gate ppl=5%,kl=0.1 --gate top1=80%,bytes=1MB --json
grep -q '"gate":"bytes","limit":1000000,' out && ok "and are in JSON" || fail "and are in JSON"
mkdir gated
for gate in ppl=0% kl=0 top1=100% bytes=1k; do
    "$mote" quantize float.gguf gated/g.gguf --type q3h --method rtn --evaluate later.txt --gate $gate --json >out 2>err
    check "gate $gate is not met" "$?, $(ls -A gated | wc -l | tr -d ' ') files" "4, 0 files"
    grep -q '"written":false,' out && grep -q "^error: a gate is not met: ${gate%=*} " err &&
        ok "and the report says so" || fail "and the report says so"
done
"$mote" quantize float.gguf gated/g.gguf --type q3h --method rtn --evaluate later.txt \
    --gate ppl=900%,ppl=0%,kl=0,top1=100%,bytes=1k >out 2>err
met="^error: these gates are not met: ppl [0-9.]* % (at most 0 %), kl [0-9.e-]* nats (at most 0 nats), "
met="${met}top1 [0-9.]* % (at least 100 %), bytes [0-9]* bytes (at most 1000 bytes)\$"
says "gates that are not met are all named" "$met"
many=kl=0$(awk 'BEGIN { for (i = 1; i < 32; i++) printf ",kl=0" }')
"$mote" quantize float.gguf gated/g.gguf --type q3h --evaluate later.txt --gate "$many" >out 2>err
says "as many as a line holds" "(at most 0 nats) and [0-9]* more$"
cp float.gguf gated/g.gguf
"$mote" quantize float.gguf gated/g.gguf --type q3h --gate bytes=1k --force >out 2>err
check "a model that is there" "$?, $(sum gated/g.gguf)" "4, $(sum float.gguf)"
code "gate without a text" 2 quantize float.gguf q.gguf --gate ppl=1%
says "gate without a text: what to do" "hint: add --evaluate"
for gate in ppl ppl=x ppl=-1% kl=1% top1=101% top1=0.5% bytes=1x speed=2 'ppl=1%,' ''; do
    code "gate \"$gate\"" 2 quantize float.gguf q.gguf --evaluate later.txt --gate "$gate"
done
code "a gate that is missing" 2 quantize float.gguf q.gguf --evaluate later.txt --gate 'ppl=1%,'
says "a gate that is missing: says so" "a gate is missing before or after a comma"
code "gptq without a text" 2 quantize float.gguf q.gguf --method gptq
code "mixed without a target" 2 quantize float.gguf q.gguf --type mixed
code "target and type" 2 quantize float.gguf q.gguf --type q4_0 --target-bits 5
code "target out of reach" 2 quantize float.gguf q.gguf --target-bits 3
code "no such type" 2 quantize float.gguf q.gguf --type q9
code "--keep: no such type" 2 quantize float.gguf q.gguf --keep head=q9
says "--keep: no such type, which there are" "^hint: types are f32, f16, .*, q6_k and iq4_nl$"
code "--keep: no type" 2 quantize float.gguf q.gguf --keep head
code "--keep: no such tensor" 2 quantize float.gguf q.gguf --keep 'nothing*=f16'
code "quantize: no output" 2 quantize float.gguf
ln float.gguf hard2.gguf
for name in ./float.gguf hard2.gguf; do code "quantize: onto itself as $name" 2 quantize float.gguf $name; done
says "quantize: onto itself, says so" "is the model to quantize itself"
mkdir q.dir
for name in q.bin q.safetensors q.dir/ nowhere/; do
    code "quantize: $name is no GGUF" 2 quantize float.gguf $name
    says "quantize: $name is no GGUF, what to do" "^hint: .*\.gguf"
done
code "quantize: no ending" 2 quantize float.gguf q.dir/small
says "quantize: no ending, what to do" "^hint: name it q.dir/small.gguf"
code "quantize: onto a file of yours" 2 quantize float.gguf text.txt
code "quantize: bad file" 3 quantize bad.gguf q.gguf
code "quantize: no such file" 3 quantize missing.gguf q.gguf
code "quantize: no such text" 3 quantize float.gguf q.gguf --evaluate missing.txt
code "quantize: no such folder" 7 quantize float.gguf missing/q.gguf
[ -e q.gguf ] && fail "what failed wrote nothing" || ok "what failed wrote nothing"

finish

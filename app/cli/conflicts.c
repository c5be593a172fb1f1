/* Options that cannot have an effect beside the others. One table for every command that describes a training run: what
 * contradicts is refused, what is in vain is named in a warning, wherever it came from. A value that changes nothing is
 * passed over, because the config.json of a run holds every value, those of other choices too. */
#include "conflicts.h"

#include <math.h>
#include <string.h>

#include "console.h"
#include "setup.h"

/* What the indices of the choices in setup.c mean. */
enum { TOKENIZER_BYTE, TOKENIZER_CHAR };
enum { OPTIMIZER_MUON = 1 };
enum { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_RESTARTS, SCHEDULE_WSD };

struct asked {
    const struct command *command;
    int n_texts;
};

static const struct option *find(const struct asked *asked, const char *name) {
    return option_find(asked->command, name, strlen(name));
}

static bool given(const struct asked *asked, const char *name) {
    const struct option *row = find(asked, name);
    return row && option_given(row);
}

static bool typed(const struct asked *asked, const char *name) {
    const struct option *row = find(asked, name);
    return row && option_typed(row);
}

/* config.json holds --minutes and the --steps that came of it: only who types both has to choose. */
static bool steps_and_epochs(const struct asked *asked) { return typed(asked, "steps") && typed(asked, "epochs"); }
static bool steps_and_minutes(const struct asked *asked) { return typed(asked, "steps") && typed(asked, "minutes"); }
static bool end_above_peak(const struct asked *asked) {
    (void)asked;
    return setup.min_lr > setup.lr; /* false where one is not given: NAN */
}
static bool letters_bounded(const struct asked *asked) {
    bool letters = setup.tokenizer == TOKENIZER_BYTE || setup.tokenizer == TOKENIZER_CHAR;
    return asked->n_texts && letters && given(asked, "vocab");
}
static bool tokens_of_a_text(const struct asked *asked) { return asked->n_texts && given(asked, "tokens"); }
static bool tokenizer_of_nothing(const struct asked *asked) { return !asked->n_texts && given(asked, "tokenizer"); }
static bool gpt2_turned(const struct asked *asked) {
    return setup.family == MOTE_FAMILY_GPT2 && given(asked, "rope-base") && setup.rope_base != 10000;
}
static bool gpt2_normed(const struct asked *asked) {
    (void)asked;
    return setup.family == MOTE_FAMILY_GPT2 && setup.qk_norm == 1;
}
static bool gpt2_shared(const struct asked *asked) {
    bool same = setup.kv_heads == setup.heads;
    return setup.family == MOTE_FAMILY_GPT2 && given(asked, "kv-heads") && !same;
}
static bool scaled(void) { return setup.rope_scaling != UNSET && setup.rope_scaling != MOTE_ROPE_PLAIN; }
static bool scaled_by_nothing(const struct asked *asked) {
    return find(asked, "rope-scaling") && scaled() && !(setup.rope_factor > 0);
}
static bool factor_of_nothing(const struct asked *asked) {
    return given(asked, "rope-factor") && setup.rope_factor > 0 && !scaled();
}
static bool context_of_nothing(const struct asked *asked) {
    bool used = setup.rope_scaling == MOTE_ROPE_LLAMA3 || setup.rope_scaling == MOTE_ROPE_YARN;
    return given(asked, "rope-original-context") && setup.rope_original_context > 0 && !used;
}
static bool adam_beside_another(const struct asked *asked) {
    bool muon = setup.optimizer == UNSET || setup.optimizer == OPTIMIZER_MUON, same = setup.adam_lr == setup.lr;
    return !muon && given(asked, "adam-lr") && !same;
}
static bool warmup_to_the_end(const struct asked *asked) {
    return given(asked, "warmup") && setup.steps != UNSET_INTEGER && setup.warmup > 0 && setup.warmup >= setup.steps;
}
static bool end_of_constant(const struct asked *asked) {
    return setup.schedule == SCHEDULE_CONSTANT && given(asked, "min-lr") && setup.min_lr > 0;
}
static bool restarts_of_another(const struct asked *asked) {
    return setup.schedule != SCHEDULE_RESTARTS && given(asked, "restarts") && setup.restarts != 1;
}
static bool decay_of_another(const struct asked *asked) {
    return setup.schedule != SCHEDULE_WSD && given(asked, "decay-part") && setup.decay_part != 0.2;
}

static bool stored_in_another(const struct asked *asked) {
    return setup.qat > 0 && given(asked, "type") && typed(asked, "type");
}

static const struct {
    bool (*applies)(const struct asked *asked);
    bool refused;
    const char *text, *hint;
} rules[] = {
    {steps_and_epochs, true, "--steps and --epochs both say how long to train", "choose one"},
    {steps_and_minutes, true, "--steps and --minutes both say how long to train", "choose one"},
    {end_above_peak, true, "--min-lr, the learning rate at the end, is above --lr, its peak", "lower it or raise --lr"},
    {gpt2_normed, true, "--qk-norm is not possible with --family gpt2", "--family llama has it"},
    {gpt2_shared, true, "--kv-heads other than --heads is not possible with --family gpt2", "--family llama has it"},
    {scaled_by_nothing, true, "--rope-scaling says how, and not by how much", "add --rope-factor"},
    {stored_in_another, true, "--qat and --type both say how the weights are stored", "leave --type out"},
    {letters_bounded, false, "--vocab has no effect with --tokenizer byte or char: the text sets it", NULL},
    {tokens_of_a_text, false, "--tokens has no effect with a TEXT: its own are counted", NULL},
    {tokenizer_of_nothing, false, "--tokenizer has no effect without a TEXT: --vocab sets the vocabulary", NULL},
    {gpt2_turned, false, "--rope-base has no effect with --family gpt2: its positions are learned", NULL},
    {factor_of_nothing, false, "--rope-factor has no effect without --rope-scaling", NULL},
    {context_of_nothing, false, "--rope-original-context has no effect without --rope-scaling llama3 or yarn", NULL},
    {adam_beside_another, false, "--adam-lr has no effect without --optimizer muon: --lr is the only rate", NULL},
    {warmup_to_the_end, false, "--warmup is not shorter than --steps: the learning rate never reaches --lr", NULL},
    {end_of_constant, false, "--min-lr has no effect with --schedule constant", NULL},
    {restarts_of_another, false, "--restarts has no effect without --schedule cosine-restarts", NULL},
    {decay_of_another, false, "--decay-part has no effect without --schedule wsd", NULL},
};

mote_status conflicts_check(const struct command *command, int n_texts, mote_error *error) {
    const struct asked asked = {command, n_texts};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (!rules[i].applies(&asked)) continue;
        if (!rules[i].refused) {
            warn("%s", rules[i].text);
            continue;
        }
        mote_fail(error, MOTE_USAGE, "%s", rules[i].text);
        return mote_hint(error, MOTE_USAGE, "%s", rules[i].hint);
    }
    return MOTE_OK;
}

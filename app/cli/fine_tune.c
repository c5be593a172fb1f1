/* mote train --from: what a finished model fixes. Its shape and tokenizer take the place of the options', and an option
 * that says otherwise is refused with both values. A run that goes on takes shape and tokenizer from the model that it
 * saved: the one it began with may be gone. */
#include "fine_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "output.h"
#include "setup.h"
#include "source.h"

bool fine_tune_asked(void) { return source_from != NULL; }

mote_status fine_tune_check(const char *output, mote_error *error) {
    if (source_from && output) {
        mote_status status = output_spare(source_from, output, "model of --from", error);
        return status ? status : source_spare(output, error);
    }
    if (source_from) return MOTE_OK;
    for (const struct option *row = group_source_from.rows; row->name; row++) {
        if (!option_given(row)) continue;
        mote_fail(error, MOTE_USAGE, "--%s belongs to a model that is trained further", row->name);
        return mote_hint(error, MOTE_USAGE, "add --from MODEL");
    }
    return MOTE_OK;
}

static mote_status fail_differs(const char *name, const char *given, const char *path, const char *has,
                                mote_error *error) {
    if (given) mote_fail(error, MOTE_USAGE, "--%s is given as %.80s, but %s has %.80s", name, given, path, has);
    else mote_fail(error, MOTE_USAGE, "--%s is given, but %s is not so", name, path);
    return mote_hint(error, MOTE_USAGE, "leave --%s out: a finished model keeps its shape and its tokenizer", name);
}

static const char *text_of(const mote_buffer *value) { return value->bytes && !value->failed ? value->bytes : "none"; }

/* An empty value for each row of a group; freed with free(). */
static mote_buffer *values_for(const struct option *rows, mote_error *error) {
    size_t n = 0;
    while (rows[n].name) n++;
    mote_buffer *values = calloc(n + 1, sizeof *values);
    if (!values) mote_fail(error, MOTE_MEMORY, "no memory for the values of %zu options", n);
    return values;
}

mote_status fine_tune_resume(const char *config, mote_error *error) {
    const struct option *rows = group_source_from.rows;
    mote_buffer *typed = values_for(rows, error); /* as given, and with the absolute names of files */
    mote_buffer *real = typed ? values_for(rows, error) : NULL;
    if (!real) {
        free(typed);
        return MOTE_MEMORY;
    }
    for (int i = 0; rows[i].name; i++)
        if (option_typed(&rows[i])) {
            config_value(&rows[i], NULL, &typed[i]);
            config_value_absolute(&rows[i], &real[i]);
            option_forget(&rows[i]);
        }
    mote_status status = config_read(&command_train, config, error);
    for (int i = 0; rows[i].name; i++) {
        mote_buffer began = {0}, shown = {0};
        config_value_absolute(&rows[i], &began);
        config_value(&rows[i], NULL, &shown);
        if (!status && typed[i].size && strcmp(text_of(&real[i]), text_of(&began)) != 0) {
            status = mote_fail(error, MOTE_USAGE, "--%s is given as %.80s, but the run was begun with %.80s",
                               rows[i].name, text_of(&typed[i]), text_of(&shown));
            mote_hint(error, status, "leave --%s out: the run goes on from its own model", rows[i].name);
        }
        mote_buffer_deinit(&shown);
        mote_buffer_deinit(&began);
        mote_buffer_deinit(&typed[i]);
        mote_buffer_deinit(&real[i]);
    }
    free(typed);
    free(real);
    return status;
}

/* What a flag is called that was given: as it is, or its opposite, which has the same value. */
static const char *flag_name(const struct option *rows, const struct option *flag, bool set) {
    for (const struct option *row = rows; row->name; row++)
        if (row->value == flag->value && row->kind == (set ? OPTION_FLAG : OPTION_FLAG_OFF)) return row->name;
    return flag->name;
}

/* The options of the shape become the model's. All that were given must have been that before, but for the context,
 * which may have been less. */
static mote_status take_shape(const char *path, mote_model *model, mote_error *error) {
    const struct option *rows = group_shape.rows;
    mote_buffer *given = values_for(rows, error);
    if (!given) return MOTE_MEMORY;
    mote_config config = mote_model_config(model);
    const int64_t context = setup.context;
    mote_status status = MOTE_OK;
    for (int i = 0; rows[i].name; i++)
        if (option_given(&rows[i])) config_value(&rows[i], NULL, &given[i]);
    if (context != UNSET_INTEGER && context < config.context) status = mote_model_shorten(model, (int)context, error);
    config = mote_model_config(model);
    setup_store_config(&config);
    for (int i = 0; rows[i].name; i++) {
        mote_buffer has = {0};
        if (!status && given[i].size && config_value(&rows[i], NULL, &has) &&
            strcmp(text_of(&given[i]), text_of(&has)) != 0) {
            const bool flag = rows[i].kind == OPTION_FLAG;
            const char *name = flag ? flag_name(rows, &rows[i], *given[i].bytes == 't') : rows[i].name;
            status = fail_differs(name, flag ? NULL : text_of(&given[i]), path, text_of(&has), error);
            if (rows[i].value == &setup.context)
                mote_hint(error, status, "a context can be made shorter, not longer than what the model has learned");
        }
        mote_buffer_deinit(&has);
        mote_buffer_deinit(&given[i]);
    }
    free(given);
    return status;
}

/* A --vocab out of a config file is a bound, and one that was typed a wish. */
static mote_status take_tokenizer(const char *path, const mote_model *model, mote_error *error) {
    const struct option *kind = &group_tokenizer.rows[0], *vocab = &group_tokenizer.rows[1];
    const mote_tokenizer *tokenizer = mote_model_tokenizer(model);
    char given[64], has[32];
    size_t length;
    if (!tokenizer) {
        const char *problem = mote_model_tokenizer_problem(model);
        if (problem)
            return mote_fail(error, MOTE_BAD_FILE, "the tokenizer of %s cannot be used: %.380s", path, problem);
        mote_fail(error, MOTE_BAD_FILE, "%s holds no tokenizer, so it can read no text", path);
        return mote_hint(error, MOTE_BAD_FILE, "give its own with --tokenizer-file FILE");
    }
    if (setup.tokenizer != UNSET) {
        const char *name = option_choice(kind->argument, setup.tokenizer, &length);
        snprintf(given, sizeof given, "%.*s", (int)length, name);
        if (strcmp(given, mote_tokenizer_name(tokenizer)) != 0)
            return fail_differs(kind->name, given, path, mote_tokenizer_name(tokenizer), error);
    }
    if (option_typed(vocab) && setup.vocab != mote_tokenizer_vocab(tokenizer)) {
        snprintf(given, sizeof given, "%lld", (long long)setup.vocab);
        snprintf(has, sizeof has, "%d", mote_tokenizer_vocab(tokenizer));
        return fail_differs(vocab->name, given, path, has, error);
    }
    setup.tokenizer = UNSET;
    setup.vocab = UNSET_INTEGER;
    return MOTE_OK;
}

mote_status fine_tune_open(const char *saved, bool reads_text, struct prepared *prepared, mote_error *error) {
    const char *path = saved ? saved : source_from;
    mote_status status =
        saved ? mote_model_open(saved, &prepared->source, error) : source_open(path, &prepared->source, error);
    if (!status && (reads_text || mote_model_tokenizer(prepared->source)))
        status = take_tokenizer(path, prepared->source, error);
    if (!status) status = take_shape(path, prepared->source, error);
    prepared->fine_tuning = true;
    if (status || saved) return status;
    mote_model_info info = mote_model_describe(prepared->source);
    note("from       %s: %s, %s%s%s", path, info.form, mote_type_name(info.type),
         info.type == MOTE_TYPE_F32 ? "" : ", made f32 to be trained",
         source_has_adapters() ? ", with its adapters merged" : "");
    return MOTE_OK;
}

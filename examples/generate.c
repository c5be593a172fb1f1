/* Opens a model and continues a prompt, greedily where the fourth argument is 0.
 *     cc -O2 generate.c -o generate $(pkg-config --cflags --libs mote)
 *     ./generate model.gguf "Once upon a time" 200 0.8 */
#include <mote/mote.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text comes in whole characters, as soon as there is one. */
static bool print_text(void *context, const char *text, size_t bytes) {
    (void)context;
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    return !ferror(stdout); /* false ends the run: nobody reads any more */
}

int main(int n_arguments, char **arguments) {
    if (n_arguments < 2) {
        fprintf(stderr, "usage: %s MODEL.gguf [PROMPT [TOKENS [TEMPERATURE]]]\n", arguments[0]);
        return MOTE_USAGE;
    }
    const char *prompt = n_arguments > 2 ? arguments[2] : "";
    mote_error error;
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_sampler *sampler = NULL;
    mote_status status = mote_model_open(arguments[1], &model, &error);
    if (status) goto done;

    /* A session is one conversation's memory; several may run on one model, each in its own thread. */
    mote_session_options session_options = mote_session_options_default();
    status = mote_session_create(model, &session_options, &session, &error);
    if (status) goto done;

    mote_sampler_options sampler_options = mote_sampler_options_default();
    sampler_options.seed = 1;
    if (n_arguments > 4) sampler_options.temperature = (float)atof(arguments[4]);
    status = mote_sampler_create(&sampler_options, mote_model_config(model).vocab, &sampler, &error);
    if (status) goto done;

    mote_generate_options options = mote_generate_options_default();
    options.n_tokens = n_arguments > 3 ? atoi(arguments[3]) : 100;
    options.on_text = print_text;
    mote_generate_report report;
    printf("%s", prompt);
    status = mote_generate(session, sampler, mote_model_tokenizer(model), prompt, strlen(prompt), &options, &report,
                           &error);
    if (status) goto done;
    fprintf(stderr, "\n%d tokens in %.3f s, stopped by %s\n", report.generated_tokens, report.generate_seconds,
            report.stopped_by);

done:
    if (status) fprintf(stderr, "error: %s\n%s\n", error.message, error.hint);
    mote_sampler_destroy(sampler);
    mote_session_destroy(session);
    mote_model_close(model);
    return status;
}

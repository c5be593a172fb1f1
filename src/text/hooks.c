/* Where regular expressions and normal forms come from: the program that uses the library, which needs neither. */
#include "text/hooks.h"

static mote_text_hooks hooks;

void mote_text_use(const mote_text_hooks *wanted) {
    hooks = wanted ? *wanted : (mote_text_hooks){0};
}

const mote_text_hooks *mote_text_hooks_now(void) {
    bool whole = hooks.compile && hooks.match && hooks.release_scratch && hooks.release && hooks.normalize &&
                 hooks.category;
    return whole ? &hooks : NULL;
}

mote_status mote_text_hooks_missing(mote_error *error, const char *name, const char *what) {
    mote_fail(error, MOTE_BAD_FILE, "%s: the tokenizer needs %s, which this program does not have", name, what);
    return mote_hint(error, MOTE_BAD_FILE,
                     "install PCRE2 and utf8proc (libpcre2-dev, libutf8proc-dev) and build mote anew; programs of your "
                     "own give them to the library with mote_text_use");
}

/* The small parts of a JSON file as a tree, for readers that need a key before they can understand its neighbours.
 * Every value knows where it stands, so messages name its path. */
#ifndef MOTE_FORMATS_JSON_TREE_H
#define MOTE_FORMATS_JSON_TREE_H

#include "base/json.h"
#include "text/tokenizer.h"

typedef struct mote_value {
    mote_json_kind kind;    /* OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE, NULL */
    mote_string key;        /* in an object */
    mote_string string;     /* of a STRING */
    double number;          /* of a NUMBER */
    int64_t integer;        /* where it is one */
    bool is_integer;
    size_t index, n;        /* place in the parent; number of children */
    struct mote_value *parent, *child, *next;
} mote_value;

enum { MOTE_TREE_VALUES = 1 << 16 };

typedef struct {
    const char *name; /* the file */
    mote_json json;
    mote_arena arena;
    char *block; /* where the next strings go */
    size_t block_left;
    size_t n_values;
    mote_status status;
    mote_error *error;
} mote_tree;

void mote_tree_init(mote_tree *tree, const uint8_t *bytes, size_t size, const char *name, mote_error *error);
void mote_tree_deinit(mote_tree *tree);
/* A copy of n bytes that lives as long as the tree; where there is no memory NULL and tree->status. */
const char *mote_tree_keep(mote_tree *tree, const char *bytes, size_t n);
/* The KEY or STRING that was just read, in the file itself where it has no escapes. */
mote_string mote_tree_string(mote_tree *tree);
/* The next token; what is not JSON sets tree->status. */
mote_json_kind mote_tree_next(mote_tree *tree);
/* The value whose first token was `first`, with all in it: at most MOTE_TREE_VALUES of one file, no key twice. `key`
 * names it in messages. NULL: tree->status. */
mote_value *mote_tree_read(mote_tree *tree, mote_json_kind first, const char *key);

/* Fails with "<file>: <path>: <what>", the path as "model.vocab[3]", unless something failed before. */
mote_status mote_tree_fail(mote_tree *tree, const mote_value *at, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
const mote_value *mote_value_get(const mote_value *object, const char *key); /* NULL: no such key */
static inline bool mote_value_missing(const mote_value *value) { return !value || value->kind == MOTE_JSON_NULL; }
/* The value of the key, or `missing` where it is absent or null; other kinds fail. */
bool mote_value_bool(mote_tree *tree, const mote_value *object, const char *key, bool missing);
mote_string mote_value_string(mote_tree *tree, const mote_value *object, const char *key); /* bytes NULL: missing */
/* Fails for any key of the object that is not in the list, which NULL ends. */
void mote_value_only(mote_tree *tree, const mote_value *object, const char *const *keys);

#endif

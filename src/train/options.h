/* Training options as a table: unset values, ranges, and what a checkpoint remembers are loops over it. */
#ifndef MOTE_TRAIN_OPTIONS_H
#define MOTE_TRAIN_OPTIONS_H

#include "base/buffer.h"

typedef enum {
    MOTE_FIELD_INT,
    MOTE_FIELD_INT64,
    MOTE_FIELD_UINT64,
    MOTE_FIELD_DOUBLE,
    MOTE_FIELD_FLOAT,
    MOTE_FIELD_BOOL
} mote_field_kind;

/* A field of mote_train_options or mote_config. */
typedef struct {
    const char *name;
    mote_field_kind kind;
    size_t offset;
    double low, high;
    bool zero_is_unset; /* else a negative value is */
    bool free;          /* may differ when a checkpoint is resumed; `steps` has a rule of its own */
    bool later;         /* checkpoints of before do not have it */
} mote_field;

extern const mote_field mote_train_fields[], mote_config_fields[];
extern const size_t mote_n_train_fields, mote_n_config_fields;

/* A field as 64 bits (integers, bools) or as the bits of a double; equal values have equal bits. */
uint64_t mote_field_bits(const mote_field *field, const void *object);
void mote_field_set(const mote_field *field, void *object, uint64_t bits);
bool mote_field_is_real(const mote_field *field); /* bits are those of a double */
void mote_field_print(const mote_field *field, uint64_t bits, char *text, size_t bytes);

/* Reads the caller's struct, fills what is unset with plain defaults that need no knowledge of the data, checks ranges.
 */
mote_status mote_train_options_complete(const mote_train_options *given, mote_train_options *options,
                                        mote_error *error);
/* Fills one field that is unset; true when it was. `value` is converted to the field's kind. */
bool mote_train_options_fill(mote_train_options *options, const char *name, double value);
double mote_train_default_lr(mote_optimizer optimizer);

#endif

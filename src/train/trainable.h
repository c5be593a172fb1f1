/* Weights as training needs them: f32, in memory of the model's own. */
#ifndef MOTE_TRAIN_TRAINABLE_H
#define MOTE_TRAIN_TRAINABLE_H

#include "models/model.h"

/* Copies the weights of a model that came from a file into memory, as f32; nothing to do for a model that is so
 * already. Fails where the model was packed for sessions in another type. */
mote_status mote_model_make_trainable(mote_model *model, mote_error *error);

#endif

/* llama2.c's models: any bytes end in a status; what opens has weights within the file, or its own where they are
 * int8, and the sizes the header says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_model *model = NULL;
    mote_error error = {0};
    uint8_t *bytes = malloc(size ? size : 1); /* a model's bytes are aligned to 4, as a mapping is */
    if (!bytes) return 0;
    memcpy(bytes, data, size);
    mote_status status = mote_llama2c_parse(bytes, size, "input", &model, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require((status == MOTE_OK) == (model != NULL));
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    float sum = 0;
    size_t used = 0;
    for (int id = 0; model && id < model->program->n_tensors; id++) {
        const mote_tensor *t = &model->program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        const float *w = model->weight[id];
        size_t n = (size_t)t->rows * (size_t)t->cols;
        require(w && t->type == MOTE_TYPE_F32);
        if (!model->arena)
            require((const uint8_t *)w >= bytes && (const uint8_t *)(w + n) <= bytes + size);
        sum += w[0] + w[n - 1];
        used += n;
    }
    require(sum == sum || sum != sum); /* read, whatever it is */
    require(!model || model->arena || used * sizeof(float) < size);
    mote_model_close(model);
    free(bytes);
    return 0;
}

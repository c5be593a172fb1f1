/* Rows, elementwise kernels and optimizers in NEON: the shared bodies over its vector words. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_NEON_KERNELS
#include <arm_neon.h>

#include "kernels/formulas.h"

#include "kernels/vector_neon.h"

#include "kernels/vector_math.inc.h"

#include "kernels/elementwise.inc.h"
#include "kernels/rows.inc.h"

#include "kernels/attend.inc.h"

void mote_kernels_fill_rows_neon(mote_kernels *table) {
    fill_rows(table);
    fill_elementwise(table);
    table->attend = attend;
}
#endif

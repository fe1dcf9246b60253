/* priv.h - which numbers the bins of a stream hold. */
#ifndef FT_LINES_PRIV_H
#define FT_LINES_PRIV_H

#include "ft/tensor.h"
#include "ft/stream.h"

/* The ft_dtype of the bin called `key`, or -1; `data` as in lines.h. */
int lines_dtype(struct ft_span key, int data);

#endif

/* lora.h - what lora.c, dora.c and pissa.c share. */
#ifndef FT_ADAPT_LORA_H
#define FT_ADAPT_LORA_H

#include "priv.h"

/* Parts: A [r, in] and B [out, r], at a table [vocabulary, r] and [width, r]; M [1, out] of DoRA; A0 and B0 of PiSSA, A
 * and B as they began. */
enum { A, B, M, A0, B0 };

/* ---- dora.c ---- */
int dora_attach(struct ft_model *m, struct attached *a, const struct site *s);
int dora_start(const struct attached *a);
void dora_release(struct attached *a);
struct ft_tensor *dora_linear(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y);
/* The same at a table, of whose words `low` [tokens, r] are the rows of A. */
struct ft_tensor *dora_table(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
                             struct ft_tensor *low, struct ft_tensor *y);
/* As struct technique's merge(), of which lora() is what LoRA alone does. */
int dora_merge(const struct attached *a, int (*lora)(const struct attached *a));

/* ---- pissa.c ---- */
int pissa_attach(struct ft_model *m, struct attached *a, const struct site *s); /* after A and B */
int pissa_start(const struct attached *a);

#endif

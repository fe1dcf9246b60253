/* export_peft.h - what the files share that write folders of PEFT. */
#ifndef FT_FORMAT_EXPORT_PEFT_H
#define FT_FORMAT_EXPORT_PEFT_H

#include "ft/adapter.h"
#include "priv.h"

#define PEFT_PREFIX "base_model.model." /* of names of tensors, where the base is wrapped */

/* Rows of tables that are not the base's. */
enum { PEFT_TABLES = 2 }; /* that of the words, and that of what decodes */
struct peft_rows {
	struct peft_table {
		const struct ft_param *p;
		int64_t *row; /* from malloc */
		size_t n;
	} table[PEFT_TABLES];
	size_t count;
};

/* A folder that is being made. */
struct peft_out {
	const struct ft_model *m;
	enum ft_dtype dtype;
	json_t *config; /* adapter_config.json */
	struct ft_stored *tensors; /* names and data are from malloc */
	size_t count, cap;
	struct peft_rows rows;
};
/* A parameter under another name, with data of its own. */
int peft_tensor(struct peft_out *o, const struct ft_param *p, const char *prefix, const char *name);

/* ---- export_peft_tokens.c ---- */
/* Whether a parameter of the base that is not what it was goes into a folder by its rows. */
bool peft_by_rows(const struct ft_model *m, const struct ft_param *p);
int peft_find_rows(const struct ft_model *m, struct peft_rows *r); /* r is empty before */
void peft_free_rows(struct peft_rows *r);
int peft_put_rows(struct peft_out *o, const struct peft_rows *r);   /* beside a LoRA */
int peft_put_tokens(struct peft_out *o, const struct peft_rows *r); /* alone */

/* ---- export_peft_modules.c ---- */
/* The module that a parameter belongs to: its name in checkpoints without the last component; from malloc. */
char *peft_module(const struct ft_param *p);
/* target_modules: the shortest ends of names that PEFT takes for nothing but these modules. `loose`: where it takes any
 * ends of names, not only whole components. */
json_t *peft_targets(const struct ft_model *m, char *const *modules, size_t n, bool loose);
/* Whether the weight of one of them is held the other way around: fan_in_fan_out. */
bool peft_turned(const struct ft_model *m, char *const *modules, size_t n);

/* ---- what a folder holds: its members of the configuration, and its tensors ---- */
int peft_put_deltas(struct peft_out *o);                               /* export_peft_lora.c */
int peft_put_ia3(struct peft_out *o), peft_put_vera(struct peft_out *o); /* export_peft_vectors.c */
int peft_put_virtual(struct peft_out *o, const struct ft_virtual *v);  /* export_peft_virtual.c */

#endif

/* export_adapterhub.h - what the files share that write folders of AdapterHub. */
#ifndef FT_FORMAT_EXPORT_ADAPTERHUB_H
#define FT_FORMAT_EXPORT_ADAPTERHUB_H

#include "ft/adapter.h"
#include "priv.h"

/* ---- export_adapterhub_head.c ---- */
/* Whether the head is written as one of the library's own classes (../adapt/adapterhub_head.c). */
bool adapterhub_flex(const struct ft_model *m);
int adapterhub_flex_check(const struct ft_model *m); /* FT_EUSAGE: that they have no such head */
const char *adapterhub_flex_name(const struct ft_model *m, const char *adapter);
json_t *adapterhub_flex_config(const struct ft_model *m, json_t *labels); /* label2id; NULL: out of memory */
/* What a parameter of the head is called; from malloc. */
char *adapterhub_flex_tensor(const struct ft_model *m, const struct ft_param *p, const char *adapter);

#endif

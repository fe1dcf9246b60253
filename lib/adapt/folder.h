/* folder.h - what the files share that read adapters at rest (ft/adapter.h). */
#ifndef FT_ADAPT_FOLDER_H
#define FT_ADAPT_FOLDER_H

#include "ft/adapter.h"
#include "priv.h"

#define FOLDER_CONFIG "adapter_config.json"

struct folder_kind;
struct folder {
	char *dir;                      /* as given */
	json_t *config;                 /* adapter_config.json */
	json_t *note;                   /* FT_ADAPTER_NOTE, or NULL */
	const struct folder_kind *kind;
	struct ft_safetensors *tensors;
	char *weights;                  /* their path */
	json_t *head;                   /* the kind's head_config, or NULL */
	struct ft_safetensors *more;    /* its head_weights, or NULL */
	char *more_weights;             /* their path */
};

/* A program's way of writing adapters. */
struct folder_kind {
	const char *name;
	const char *mark;     /* a member that only its adapter_config.json has */
	const char *weights;  /* its file of tensors */
	const char *pickle;   /* what it may have instead, which is not read; or NULL */
	const char *writes;   /* what would write the first instead */
	const char *head_config, *head_weights; /* files that may be there for the head; or NULL */
	const char *base;     /* the member that says what the base is */
	/* The head that the adapter is for; *head stays NULL when it does not say. `last` is the weight of a
	 * classifier when there is one; else NULL. */
	int (*head)(const struct folder *f, const struct ft_stored *last, json_t **head);
	/* Appends to meta.adapt what the configuration says for these sites. */
	int (*translate)(const struct folder *f, const struct sites *s, json_t *list);
	/* Makes of a tensor's name (in place; there are 16 bytes more) that of a parameter in checkpoints, without
	 * "base_model.model."; *turned: it holds the parameter the other way around. */
	void (*spell)(char *name, bool *turned);
	/* Whether it holds this parameter of the base whole. NULL: none. */
	bool (*saves)(const struct folder *f, const char *file);
	/* Whether it must have numbers of one, all or some. NULL: of none. */
	bool (*wants)(const struct ft_model *m, const struct folder *f, const struct ft_param *p);
	/* Whether the members of head_config have the types that they must. */
	int (*check_files)(const struct folder *f);
	/* Whether what the head's files say can be done with this model. NULL: it can. */
	int (*check_head)(const struct ft_model *m, const struct folder *f);
	/* The parameter of a tensor whose name says nothing of the base: 1, *p is NULL when it is of a head that a plan has
	 * put another in place of; 0: it is no such tensor. NULL: none is. */
	int (*place)(const struct ft_model *m, const struct folder *f, const char *name, struct ft_param **p);
};
extern const struct folder_kind folder_peft, folder_mlx, folder_adapterhub;

/* ---- adapterhub_head.c: heads of its own classes ("flexible") ---- */
bool adapterhub_flexible(const struct folder *f);
/* The head that transformers would have for this class and what the library saves: label2id, num_labels. New reference
 * in *head. (adapterhub.c) */
int adapterhub_head(const struct folder *f, const json_t *said, const char *class, json_t **head);
int adapterhub_check_files(const struct folder *f);
int adapterhub_find_flexible(const struct folder *f, json_t **head); /* as find_head() of a kind */
int adapterhub_check_head(const struct ft_model *m, const struct folder *f);
bool adapterhub_wants(const struct ft_model *m, const struct folder *f, const struct ft_param *p);
int adapterhub_place(const struct ft_model *m, const struct folder *f, const char *name, struct ft_param **p);

/* A failure in adapter_config.json. */
#define folder_fail(f, code, fmt, ...) ft_fail(code, "%s: " FOLDER_CONFIG ": " fmt, (f)->dir __VA_OPT__(,) __VA_ARGS__)

/* A meta.adapt object of technique t, whose other members are those of an empty option; new reference. */
json_t *folder_technique(const struct technique *t);
/* What spell() of its kind makes of a tensor's name; from malloc. NULL: out of memory. */
char *folder_spelled(const struct folder *f, const struct ft_stored *t, bool *turned);
/* Sets its "sites": those of s that are `chosen`, in globs where these say the same. */
int folder_sites(json_t *o, const struct sites *s, const bool *chosen);

/* ---- peft.c: methods that adapter_config.json may be of ---- */
struct peft_type {
	const char *name; /* its peft_type */
	const struct technique *technique; /* or NULL: it is none */
	const char *const *known;   /* members that are read here, or change nothing; up to NULL */
	const char *const *neutral; /* that must not be set; or NULL */
	/* Sets what it says in o, a meta.adapt object as folder_technique() makes it. */
	int (*translate)(const struct folder *f, const struct sites *s, json_t *o);
};
extern const struct peft_type peft_lora, peft_vera, peft_ia3, peft_prompt, peft_prefix, peft_tokens;
bool peft_is_in(const char *key, const char *const *list);

/* ---- peft_modules.c: which modules a configuration of PEFT means ---- */
struct peft_modules {
	const struct folder *f;
	struct peft_list {
		const json_t *list;      /* of ends of names, or NULL */
		struct tok_regex *regex; /* of whole names, or NULL */
	} target, exclude, inside;       /* inside: feedforward_modules */
	bool all_linear;
	void *store;
};
int peft_modules_open(struct peft_modules *p, const struct folder *f);
int peft_modules_want(struct peft_modules *p, const struct site *s); /* 1, 0, <0 */
int peft_modules_inside(struct peft_modules *p, const struct site *s); /* whether it is one of feedforward_modules */
void peft_modules_close(struct peft_modules *p);
/* The number that a pattern ({"regex": number}) gives the module, else `absent`. */
int peft_pattern(struct peft_modules *p, const char *key, const char *module, double absent, double *number);
/* Whether modules_to_save is a list of names, or none. */
int peft_check_saved(const struct folder *f);
/* Whether it names the module that a parameter belongs to. */
bool peft_saves(const struct folder *f, const char *file);

/* ---- peft_tokens.c: rows of tables of words ---- */
/* Whether the configuration gives some; rows of the table itself. */
bool peft_has_rows(const struct folder *f);
/* Whether a tensor is such rows; then `name`, as spell() has left it, becomes that of the matrix. */
bool peft_is_rows(char *name);
/* Takes them into p; NULL: it is `name`, which shares its numbers with the table. */
int peft_take_rows(const struct ft_model *m, const struct folder *f, struct ft_param *p, const char *name,
                   const struct ft_stored *t);
bool peft_wants_rows(const struct ft_model *m, const struct folder *f, const struct ft_param *p);

/* ---- peft_virtual.c: prompts and prefixes ---- */
#define PEFT_EMBEDDINGS "prompt_embeddings"
int peft_take_virtual(struct ft_model *m, const struct folder *f, const struct ft_stored *t);

#endif

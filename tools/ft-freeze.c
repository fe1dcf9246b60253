/* ft-freeze - makes a plan: what of a model trains, with which head. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/format.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "ft/optim.h"
#include "ft/sentence.h"
#include "ft/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_GIVEN INT64_MIN

static const char *head, *pooling, *loss, *base, *output = "-", *base_type, *add_tokens, *optimizer = "adamw";
static struct ft_list train, freeze, rates;
enum technique {
#define X(name, ...) TECHNIQUE_##name,
#include "lib/adapt/techniques.def"
#undef X
	TECHNIQUES
};
static const char *const technique_names[] = {
#define X(name, ...) #name,
#include "lib/adapt/techniques.def"
#undef X
};
static struct ft_list techniques[TECHNIQUES];
static int64_t last_layers = NOT_GIVEN, seed = FT_NO_SEED;
static double layer_decay = 1, scale;
static bool normalize, symmetric, distinct, init, show, json;

static const struct ft_opt options[] = {
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "What the model is for", 0 },
	{ "head", 'H', FT_OPT_STR, &head, "HEAD",
	  "classify:LABEL,LABEL..., multilabel:LABEL,..., regress[:OUTPUTS], tag:O,B-LABEL,I-LABEL,..., lm, mlm, "
	  "embed[:POOLING] or none; @FILE for the labels reads them from a file, one a line (default: the head that the "
	  "model has)", 0 },
	{ "pooling", 0, FT_OPT_STR, &pooling, "MODE,...",
	  "what a new head sees of a text: cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken of the last "
	  "layer, several side by side; auto: as MODEL says (default: embed: auto; others: the model's pooler)", 0 },
	{ "normalize", 0, FT_OPT_FLAG, &normalize, NULL, "scale that to length 1", 0 },
	{ "loss", 0, FT_OPT_STR, &loss, "NAME",
	  "embed: mnrl, cosine or cosent (default: cosent for pairs with scores, mnrl without)", 0 },
	{ "scale", 0, FT_OPT_REAL, &scale, "X", "embed: factor of cosines in mnrl and cosent (default: 20)", 0 },
	{ "symmetric", 0, FT_OPT_FLAG, &symmetric, NULL, "mnrl: rank the anchors for each positive, too", 0 },
	{ "distinct", 0, FT_OPT_FLAG, &distinct, NULL,
	  "mnrl: texts of a batch that equal the anchor or its positive are no negatives", 0 },
	{ "add-tokens", 0, FT_OPT_STR, &add_tokens, "TOKEN,...",
	  "add these to the vocabulary, or those of @FILE, one a line; where the table of words is frozen their vectors train "
	  "all the same, and alone", 0 },
	{ "init", 0, FT_OPT_FLAG, &init, NULL, "a network from the configuration alone: every weight is random", 0 },
	{ "seed", 0, FT_OPT_INT, &seed, "N", "seed of new weights (default: that of a model stream, else 0)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "What trains (default: everything)", 0 },
	{ "last-layers", 'l', FT_OPT_INT, &last_layers, "N", "only the last N layers and the head; 0: the head alone", 0 },
	{ "train", 't', FT_OPT_LIST, &train, "GLOB",
	  "parameters that train; without --last-layers all others, but for the head, are frozen; may be repeated", 0 },
	{ "freeze", 'f', FT_OPT_LIST, &freeze, "GLOB", "parameters that do not train; applied last; may be repeated", 0 },
	{ "rate", 'r', FT_OPT_LIST, &rates, "GLOB=X", "multiply the learning rate of these by X; may be repeated", 0 },
	{ "layer-decay", 0, FT_OPT_REAL, &layer_decay, "X",
	  "multiply the learning rate by X for each layer further from the head (default: 1)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Techniques: what is added to the network and trains instead of it", 0 },
#define X(name, flags, help) { #name, 0, FT_OPT_LIST, &techniques[TECHNIQUE_##name], "KEY=VALUE,...", help, flags },
#include "lib/adapt/techniques.def"
#undef X
	{ "base-type", 0, FT_OPT_STR, &base_type, "TYPE",
	  "hold linear layers that do not train as f16, bf16, q8_0, q4_0 or nf4 in memory; f32: as they are (default)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Input and output", 0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base of a model stream lies", FT_OPT_QUIET },
	{ "output", 'o', FT_OPT_STR, &output, "FILE", "write the plan here (default: standard output)", FT_OPT_QUIET },
	{ "show", 's', FT_OPT_FLAG, &show, NULL, "show every parameter; write no plan unless there is -o", FT_OPT_QUIET },
	{ "json", 0, FT_OPT_FLAG, &json, NULL, "with --show: as JSON lines", FT_OPT_QUIET },
	{ "optimizer", 0, FT_OPT_STR, &optimizer, "NAME", "state memory for this optimizer (default: adamw)", FT_OPT_QUIET },
	{ 0 },
};

/* ---- --head ---- */

/* "mean,cls" as an array; "auto" as true, which the model makes its own of. */
static json_t *parse_pooling(const char *text)
{
	json_t *modes = strcmp(text, "auto") == 0 ? json_true() : json_array();
	for (const char *p = text; json_is_array(modes); p++) {
		size_t n = strcspn(p, ",");
		char *name = ft_strndup(p, n);
		int mode = name ? ft_pooling_parse(name) : -1;
		free(name);
		if (mode < 0 || json_array_append_new(modes, json_string(ft_pooling_name((enum ft_pooling_mode)mode))) < 0) {
			ft_fail(FT_EUSAGE, "--pooling: '%.*s' is not cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken "
			        "or auto", (int)n, p);
			json_decref(modes);
			return NULL;
		}
		p += n;
		if (!*p)
			break;
	}
	return modes;
}

/* Adds what --pooling and --normalize say to a head. */
static json_t *add_pooling(json_t *new_head, const char *modes)
{
	const char *type = json_string_value(json_object_get(new_head, "type"));
	int task = type ? ft_task_parse(type) : FT_TASK_NONE, rc = FT_OK;
	if (new_head && (modes || normalize) && (task == FT_TASK_NONE || ft_task_of_words((enum ft_task)task)))
		rc = ft_fail(FT_EUSAGE, "--pooling, --normalize: the head %s sees every token", type ? type : "none");
	else if (new_head && normalize && !modes && task != FT_TASK_EMBED)
		rc = ft_fail(FT_EUSAGE, "--normalize needs --pooling");
	if (rc == FT_OK && new_head && modes) {
		json_t *list = parse_pooling(modes);
		rc = list ? ft_json_set(new_head, "pooling", list) : FT_EUSAGE;
	}
	if (rc == FT_OK && new_head && normalize)
		rc = ft_json_set(new_head, "normalize", json_true());
	if (rc == FT_OK)
		return new_head;
	json_decref(new_head);
	return NULL;
}

static json_t *parse_head(const char *text)
{
	size_t n = strcspn(text, ":");
	char *type = ft_strndup(text, n);
	const char *rest = text[n] ? text + n + 1 : NULL;
	if (!type)
		return NULL;
	int task = ft_task_parse(type);
	free(type);
	json_t *labels;
	switch (task) {
	case FT_TASK_CLASSIFY:
	case FT_TASK_MULTILABEL:
	case FT_TASK_TAG:
		labels = rest ? ft_label_list("head", rest) : NULL;
		if (!rest)
			ft_fail(FT_EUSAGE, "--head: labels are missing: --head %s:LABEL,LABEL", text);
		else if (labels && task != FT_TASK_MULTILABEL && json_array_size(labels) < 2) {
			json_decref(labels);
			labels = NULL;
			ft_fail(FT_EUSAGE, "--head: a classifier needs two labels at least");
		}
		return labels ? json_pack("{s:s, s:o}", "type", ft_task_name(task), "labels", labels) : NULL;
	case FT_TASK_REGRESS: {
		char *end = NULL;
		long outputs = rest ? strtol(rest, &end, 10) : 1;
		if (outputs > 0 && outputs <= 1 << 20 && !(end && *end))
			return json_pack("{s:s, s:I}", "type", "regress", "outputs", (json_int_t)outputs);
		break;
	}
	case FT_TASK_EMBED:
		if (rest && pooling)
			return ft_fail(FT_EUSAGE, "--head %s and --pooling %s: give one of them", text, pooling), NULL;
		return add_pooling(json_pack("{s:s}", "type", "embed"), rest);
	case FT_TASK_MLM:
	case FT_TASK_LM:
	case FT_TASK_NONE:
		if (!rest)
			return json_pack("{s:s}", "type", ft_task_name(task));
		break;
	}
	ft_fail(FT_EUSAGE,
	        "--head: '%s' is not classify:LABELS, multilabel:LABELS, regress[:OUTPUTS], tag:LABELS, lm, mlm, "
	        "embed[:POOLING] or none",
	        text);
	return NULL;
}

/* {name, scale, symmetric, distinct} of what was given; *out NULL: nothing was. */
static int parse_loss(json_t **out)
{
	*out = NULL;
	if (!loss && !scale && !symmetric && !distinct)
		return FT_OK;
	if (scale < 0)
		return ft_fail(FT_EUSAGE, "--scale: %g is not above 0", scale);
	bool ranks = !loss || strcmp(loss, "mnrl") == 0;
	if ((symmetric || distinct) && !ranks)
		return ft_fail(FT_EUSAGE, "--symmetric and --distinct are for --loss mnrl");
	if (loss && strcmp(loss, "mnrl") != 0 && strcmp(loss, "cosine") != 0 && strcmp(loss, "cosent") != 0)
		return ft_fail(FT_EUSAGE, "--loss: '%s' is not mnrl, cosine or cosent", loss);
	*out = json_object();
	int rc = loss ? ft_json_set(*out, "name", json_string(loss)) : FT_OK;
	if (rc == FT_OK && scale > 0)
		rc = ft_json_set(*out, "scale", json_real(scale));
	if (rc == FT_OK && symmetric)
		rc = ft_json_set(*out, "symmetric", json_true());
	return rc == FT_OK && distinct ? ft_json_set(*out, "distinct", json_true()) : rc;
}

/* ---- the table ---- */
static int show_json(FILE *f, const struct ft_param *p)
{
	json_t *o = json_pack("{s:s, s:s, s:[I,I], s:b, s:f, s:b}", "name", p->name, "file", p->file, "shape",
	                      (json_int_t)p->t.rows, (json_int_t)p->t.cols, "trains", (int)p->trains, "rate", p->rate,
	                      "decays", (int)p->decays);
	char *text = ft_json_text(o);
	if (text)
		fprintf(f, "%s\n", text);
	free(text);
	json_decref(o);
	return text ? FT_OK : ft_last_error();
}

static int show_param(FILE *f, const struct ft_param *p)
{
	if (json)
		return show_json(f, p);
	char shape[48];
	snprintf(shape, sizeof shape, p->rank == 2 ? "%lld x %lld" : "%.0lld%lld",
	         (long long)(p->rank == 2 ? p->t.rows : 0), (long long)p->t.cols);
	fprintf(f, "%-28s %16s  %-7s", p->name, shape, p->trains ? "trains" : "frozen");
	if (p->first)
		fprintf(f, " from row %lld", (long long)p->first);
	if (p->trains && p->rate != 1)
		fprintf(f, " rate x %.4g", p->rate);
	fputc('\n', f);
	return FT_OK;
}

/* Numbers of it that train. */
static double trained_of(const struct ft_param *p)
{
	return p->trains ? (double)(p->t.rows - p->first) * (double)p->t.cols : 0;
}

struct group {
	double all, trained, rate; /* parameters, those that train, the greatest multiplier */
	bool head;
};

static struct group group_of(const struct ft_model *m, int layer)
{
	struct group g = { 0 };
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		double n = (double)p->t.rows * (double)p->t.cols;
		if (p->layer != layer)
			continue;
		g.all += n;
		g.trained += trained_of(p);
		g.rate = p->trains && p->rate > g.rate ? p->rate : g.rate;
		g.head |= strncmp(p->name, "head.", 5) == 0;
	}
	return g;
}

/* One line for each group of parameters, techniques' with the others: embeddings, every layer, the head. */
static void show_groups(FILE *f, const struct ft_model *m)
{
	int last = -1;
	for (size_t i = 0; i < ft_model_params(m); i++)
		last = ft_model_param(m, i)->layer > last ? ft_model_param(m, i)->layer : last;
	fprintf(f, "%-14s %12s %12s %10s\n", "part", "parameters", "trained", "rate x");
	for (int layer = -1; layer <= last; layer++) {
		struct group g = group_of(m, layer);
		char name[32];
		snprintf(name, sizeof name, "layer %d", layer);
		fprintf(f, "%-14s %12.0f %12.0f", layer < 0 ? "embeddings" : g.head ? "head" : name, g.all, g.trained);
		if (g.trained > 0)
			fprintf(f, " %10.4g", g.rate);
		fputc('\n', f);
	}
}

/* Bytes of a parameter in memory: 4 an element, but for those that --base-type narrows. */
static double bytes_of(const struct ft_model *m, const struct ft_param *p)
{
	const char *name = json_string_value(json_object_get(ft_model_meta(m), "base_type"));
	int type = name && !p->trains && !p->technique && p->rank == 2 && strncmp(p->name, "layer.", 6) == 0
	           ? ft_dtype_of_weights(name) : FT_F32;
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols, bytes;
	return type >= 0 && ft_dtype_bytes((enum ft_dtype)type, n, &bytes) ? (double)bytes : 4 * (double)n;
}

static int show_plan(FILE *f, const struct ft_model *m)
{
	double all = 0, trained = 0, state = 0, weights = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		double n = (double)p->t.rows * (double)p->t.cols;
		int64_t bytes = ft_optim_bytes(optimizer, p);
		if (bytes < 0)
			return (int)bytes;
		all += n;
		weights += bytes_of(m, p);
		trained += trained_of(p);
		state += p->trains ? (double)bytes * trained_of(p) / n : 0; /* that of other rows is never written */
		int rc = show ? show_param(f, p) : FT_OK;
		if (rc < 0)
			return rc;
	}
	if (json)
		return FT_OK;
	if (!show)
		show_groups(f, m);
	char w[16], g[16], s[16];
	ft_human_bytes(w, weights);
	ft_human_bytes(g, trained * 4);
	ft_human_bytes(s, state);
	fprintf(f, "%.0f of %.0f parameters train (%.2f %%): weights %s, gradients %s, %s state %s\n", trained, all,
	        all > 0 ? 100 * trained / all : 0, w, g, optimizer, s);
	return FT_OK;
}

static int write_plan(struct ft_model *m)
{
	struct ft_reader *parent = ft_model_reader(m);
	struct ft_writer *w = ft_writer_open(output, "model", ft_model_meta(m), &parent, parent ? 1 : 0);
	int rc = w ? ft_model_write(m, w) : ft_last_error();
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	return rc;
}

/* Whether anything was said that makes it another plan. */
static bool changes(const struct ft_plan *p)
{
	return p->head || p->loss || p->tokens || p->ntrain || p->nfreeze || p->nrates || p->ntechniques || p->base_type ||
	       p->last_layers >= 0 || p->layer_decay != 1 || p->seed != FT_NO_SEED || p->init;
}

/* What is added, in the order of techniques.def; of one, in the order given. *out NULL: out of memory. */
static size_t list_techniques(struct ft_plan_technique **out)
{
	size_t n = 0, at = 0;
	for (int i = 0; i < TECHNIQUES; i++)
		n += techniques[i].count;
	*out = ft_alloc(n + 1, sizeof **out);
	for (int i = 0; *out && i < TECHNIQUES; i++)
		for (size_t k = 0; k < techniques[i].count; k++)
			(*out)[at++] = (struct ft_plan_technique){ technique_names[i], techniques[i].item[k] };
	return n;
}

static int run(int argc, char **argv)
{
	if (argc != 1)
		return ft_fail(FT_EUSAGE,
		               "one MODEL is expected: a folder, a GGUF file or a model stream; see ft-freeze --help");
	if (last_layers != NOT_GIVEN && last_layers < 0)
		return ft_fail(FT_EUSAGE, "--last-layers: %lld is less than none", (long long)last_layers);
	if (layer_decay <= 0 || layer_decay > 1)
		return ft_fail(FT_EUSAGE, "--layer-decay: %g is not in (0, 1]", layer_decay);
	if ((pooling || normalize) && !head)
		return ft_fail(FT_EUSAGE, "--pooling and --normalize are about a new --head");
	json_t *new_head = head ? add_pooling(parse_head(head), pooling) : NULL, *new_loss = NULL;
	json_t *added_tokens = add_tokens ? ft_label_list("add-tokens", add_tokens) : NULL;
	if ((head && !new_head) || (add_tokens && !added_tokens) || parse_loss(&new_loss) < 0) {
		json_decref(new_head);
		json_decref(added_tokens);
		return ft_last_error();
	}
	struct ft_plan_technique *added;
	size_t nadded = list_techniques(&added);
	if (!added)
		return json_decref(new_head), json_decref(new_loss), json_decref(added_tokens), ft_last_error();
	struct ft_plan plan = { .head = new_head, .loss = new_loss, .train = train.item, .ntrain = train.count,
	                        .freeze = freeze.item, .nfreeze = freeze.count,
	                        .last_layers = last_layers < 0 ? -1 : last_layers, .layer_decay = layer_decay,
	                        .rates = rates.item, .nrates = rates.count, .techniques = added, .ntechniques = nadded,
	                        .tokens = added_tokens,
	                        .seed = seed, .base_type = base_type, .init = init };
	/* A base's plan needs no weights; a stream's own must be carried over. A plan that is only looked at stays
	 * what it is. */
	struct ft_model *m = show && !changes(&plan) && strcmp(output, "-") == 0
	                   ? ft_model_open(argv[0], base, FT_MODEL_BARE)
	                   : ft_model_plan(argv[0], base, &plan, ft_base_is(argv[0]) ? FT_MODEL_BARE : 0);
	int rc = m ? FT_OK : ft_last_error();
	bool writes = !show || strcmp(output, "-") != 0;
	if (rc == FT_OK && show)
		rc = show_plan(stdout, m);
	rc = rc ? rc : ft_print_flush();
	if (rc == FT_OK && writes)
		rc = write_plan(m);
	if (rc == FT_OK && !show && isatty(STDERR_FILENO) && !ft_quiet())
		rc = show_plan(stderr, m);
	ft_model_free(m);
	json_decref(new_head);
	json_decref(new_loss);
	json_decref(added_tokens);
	free(train.item);
	free(freeze.item);
	free(rates.item);
	free(added);
	for (int i = 0; i < TECHNIQUES; i++)
		free(techniques[i].item);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-freeze",
	.summary = "make a plan of what trains in a model, and give it a head",
	.synopsis = "[OPTION]... MODEL > PLAN\n--show [OPTION]... MODEL",
	.options = options,
	.run = run,
};

/* ft-train - trains what a plan says on a stream of batches. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/ranks.h"
#include "ft/mem.h"
#include "ft/signals.h"
#include "ft/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *model, *base, *output = "-", *combine = "mean", *trunk = "random";
static bool plan, json;
static int64_t memory;
static struct ft_list class_weights;
static double smoothing;
static struct ft_train_options o = {
	.optim = { .name = "adamw", .beta1 = NAN, .beta2 = NAN, .eps = 1e-8, .momentum = 0.9, .weight_decay = 0.01,
	           .beta2_decay = 0.8, .clip_update = 1 },
	.warmup = NAN,
	.clip = 1,
	.dropout = NAN,
	.accumulate = 1,
	.shards = 1,
	.parts = 1,
	.metric = "loss",
	.objective = { .distill_weight = 0.5, .temperature = 2, .beta = 0.1, .desirable = 1, .undesirable = 1 },
};

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model, "MODEL", "the plan, tuned model, folder or GGUF file to train", FT_OPT_QUIET },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base of MODEL lies", FT_OPT_QUIET },
	{ "output", 'o', FT_OPT_STR, &output, "FILE", "write the tuned model here (default: standard output)", FT_OPT_QUIET },
	{ "log", 0, FT_OPT_STR, &o.log, "FILE", "write loss, rate and norm of each step as JSON lines", FT_OPT_QUIET },
	{ "checkpoint", 0, FT_OPT_STR, &o.checkpoint, "FILE",
	  "save to FILE, and go on from it when a run was interrupted: the result is the same", FT_OPT_QUIET },
	{ "every", 0, FT_OPT_INT, &o.every, "N", "save every N steps (default: every ten minutes)", FT_OPT_QUIET },
	{ "plan", 0, FT_OPT_FLAG, &plan, NULL,
	  "train nothing, but say what it would take: bytes of memory by kind, multiply-adds, and about how long", FT_OPT_QUIET },
	{ "json", 0, FT_OPT_FLAG, &json, NULL, "the plan as a line of JSON", FT_OPT_QUIET },
	{ "memory", 0, FT_OPT_INT, &memory, "BYTES",
	  "use no more, such as 8G: with --recompute and --parts as far as it takes, or not at all", FT_OPT_QUIET },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Optimisation", 0 },
	{ "lr", 0, FT_OPT_REAL, &o.rate, "X", "peak learning rate (default: 5e-5 * 768 / hidden size; lion: a tenth of it)", 0 },
	{ "schedule", 0, FT_OPT_STR, &o.schedule, "NAME", "linear, cosine or constant (default: linear; constant when the stream does not say how long it is)", 0 },
	{ "warmup", 0, FT_OPT_REAL, &o.warmup, "X", "steps of rising rate; below 1 a share of all (default: 0.1)", 0 },
	{ "optimizer", 0, FT_OPT_STR, &o.optim.name, "NAME",
	  "adamw, adamw8bit (a quarter of its state), adafactor (almost none), lion or sgd (default: adamw)", 0 },
	{ "weight-decay", 0, FT_OPT_REAL, &o.optim.weight_decay, "X",
	  "decoupled weight decay, not on norms and biases (default: 0.01)", 0 },
	{ "beta1", 0, FT_OPT_REAL, &o.optim.beta1, "X",
	  "adamw: decay of the mean of gradients; lion: its share in a step (default: 0.9)", 0 },
	{ "beta2", 0, FT_OPT_REAL, &o.optim.beta2, "X",
	  "adamw: decay of the mean of squares (default: 0.999); lion: of the mean of gradients (default: 0.99)", 0 },
	{ "eps", 0, FT_OPT_REAL, &o.optim.eps, "X", "adamw: added to the root of the mean of squares (default: 1e-8)", 0 },
	{ "momentum", 0, FT_OPT_REAL, &o.optim.momentum, "X", "sgd: momentum (default: 0.9)", 0 },
	{ "beta2-decay", 0, FT_OPT_REAL, &o.optim.beta2_decay, "X",
	  "adafactor: the decay of the mean of squares at step t is 1 - t^-X (default: 0.8)", 0 },
	{ "clip-update", 0, FT_OPT_REAL, &o.optim.clip_update, "X",
	  "adafactor: largest root mean square of what is subtracted, before the rate (default: 1)", 0 },
	{ "relative", 0, FT_OPT_FLAG, &o.optim.relative, NULL,
	  "adafactor: rates are relative to the root mean square of each parameter's weights", 0 },
	{ "clip", 0, FT_OPT_REAL, &o.clip, "X", "largest gradient norm; 0: no limit (default: 1)", 0 },
	{ "recompute", 0, FT_OPT_FLAG, &o.recompute, NULL,
	  "keep only the input of each layer and compute the layer again on the way back: the same result in less memory "
	  "and a third more time", 0 },
	{ "parts", 0, FT_OPT_INT, &o.parts, "N",
	  "compute each batch in N parts, one after the other: the same result, but for rounding, in less memory (default: 1)", 0 },
	{ "trunk", 0, FT_OPT_STR, &trunk, "HOW",
	  "the lowest layers, below all that trains: random, with dropout as everywhere; still, without; keep, still and "
	  "computed once a text, the same result (default: random)", 0 },
	{ "trunk-file", 0, FT_OPT_STR, &o.trunk_file, "FILE",
	  "keep what they give in FILE, which must not be there and is gone afterwards (default: in memory)", FT_OPT_QUIET },
	{ "accumulate", 0, FT_OPT_INT, &o.accumulate, "N", "batches a step; the loss is the mean over all (default: 1)", 0 },
	{ "shards", 0, FT_OPT_INT, &o.shards, "N",
	  "cut each step into N parts and sum their gradients in a tree; processes of mpirun share them out (default: 1)", 0 },
	{ "steps", 0, FT_OPT_INT, &o.steps, "N", "stop after N steps (default: all that the stream has)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Regularisation", 0 },
	{ "l2-sp", 0, FT_OPT_REAL, &o.l2_sp, "X",
	  "against forgetting: X/2 times the squared distance of the base's weights from where they began is added to the "
	  "loss, and they have no other decay (default: 0, off)", 0 },
	{ "ewc", 0, FT_OPT_STR, &o.ewc, "FILE",
	  "the same, each weight as it matters by the Fisher information in FILE, which ft-eval measures: elastic weight "
	  "consolidation", 0 },
	{ "ewc-weight", 0, FT_OPT_REAL, &o.ewc_weight, "X", "X/2 is what --ewc is multiplied by", 0 },
	{ "ema", 0, FT_OPT_REAL, &o.ema, "DECAY",
	  "measure and write an exponential average of the weights over the steps, such as 0.999 (default: the last weights)",
	  0 },
	{ "dropout", 0, FT_OPT_REAL, &o.dropout, "P", "for every dropout (default: as the configuration says)", 0 },
	{ "seed", 0, FT_OPT_INT, &o.seed, "N", "seed of dropout (default: 0)", 0 },
	{ "label-smoothing", 0, FT_OPT_REAL, &smoothing, "X", "classify and tag: share spread over all classes; dpo: of preferences that are wrong (default: 0)", 0 },
	{ "class-weight", 0, FT_OPT_LIST, &class_weights, "LABEL=X",
	  "weight of a class in the loss; multilabel: of its positives (default: 1); may be repeated", 0 },
	{ "rdrop", 0, FT_OPT_REAL, &o.objective.rdrop, "A",
	  "R-Drop: each batch twice, with other dropout, and A times the divergence of the two predictions (default: 0, off)", 0 },
	{ "kl-base", 0, FT_OPT_REAL, &o.objective.kl_base, "X",
	  "against forgetting: X times the divergence from what the model predicted before training (default: 0, off)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Distillation", 0 },
	{ "distill", 0, FT_OPT_STR, &o.objective.teacher, "MODEL",
	  "learn what MODEL predicts, beside the labels: a model with the same tokenizer and labels", 0 },
	{ "distill-stored", 0, FT_OPT_FLAG, &o.objective.stored, NULL, "the same of predictions that ft-teach put into the batches", 0 },
	{ "distill-weight", 0, FT_OPT_REAL, &o.objective.distill_weight, "A",
	  "how much of the loss that is; 1: all of it, and no labels are needed (default: 0.5)", 0 },
	{ "distill-temperature", 0, FT_OPT_REAL, &o.objective.temperature, "T",
	  "divide logits of both by T first, which shows what else they hold for likely (default: 2)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Preferences, of language models", 0 },
	{ "dpo", 0, FT_OPT_FLAG, &o.objective.dpo, NULL, "learn which of two texts is preferred (direct preference optimisation)", 0 },
	{ "orpo", 0, FT_OPT_FLAG, &o.objective.orpo, NULL,
	  "learn the preferred text, and that it is (odds ratio preference optimisation)", 0 },
	{ "kto", 0, FT_OPT_FLAG, &o.objective.kto, NULL, "learn from texts that are good or not (Kahneman-Tversky optimisation)", 0 },
	{ "beta", 0, FT_OPT_REAL, &o.objective.beta, "X",
	  "how closely to hold to the model before training; orpo: weight of the odds ratio (default: 0.1)", 0 },
	{ "desirable", 0, FT_OPT_REAL, &o.objective.desirable, "X", "kto: what good texts weigh (default: 1)", 0 },
	{ "undesirable", 0, FT_OPT_REAL, &o.objective.undesirable, "X", "kto: what others weigh (default: 1)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Validation", 0 },
	{ "valid", 0, FT_OPT_STR, &o.valid, "FILE", "batches to validate on; the best weights are kept", FT_OPT_QUIET },
	{ "valid-every", 0, FT_OPT_INT, &o.valid_every, "N", "validate every N steps (default: after each epoch)", 0 },
	{ "metric", 0, FT_OPT_STR, &o.metric, "NAME", "what is best, as ft-eval names it (default: loss)", 0 },
	{ "combine", 0, FT_OPT_STR, &combine, "HOW",
	  "one answer for a document of several windows: mean, max, first or none (default: mean)", 0 },
	{ "patience", 0, FT_OPT_INT, &o.patience, "N", "stop after N validations without a better one (default: never)", 0 },
	{ 0 },
};

static int check_range(const char *option, double v, double least, double most)
{
	if (v >= least && v <= most)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "--%s: %g is not in %g .. %g", option, v, least, most);
}

static int parse_trunk(void)
{
	static const char *const names[] = { [FT_TRUNK_RANDOM] = "random", [FT_TRUNK_STILL] = "still", [FT_TRUNK_KEEP] = "keep" };
	for (int i = FT_TRUNK_RANDOM; i <= FT_TRUNK_KEEP; i++) {
		if (strcmp(trunk, names[i]) != 0)
			continue;
		o.trunk = (enum ft_trunk_mode)i;
		return !o.trunk_file || i == FT_TRUNK_KEEP ? FT_OK : ft_fail(FT_EUSAGE, "--trunk-file needs --trunk keep");
	}
	return ft_fail(FT_EUSAGE, "--trunk: '%s' is not random, still or keep", trunk);
}

static int check_options(void)
{
	int rc = o.rate == 0 ? FT_OK : check_range("lr", o.rate, 1e-30, 1e3);
	if (rc == FT_OK && !isnan(o.warmup))
		rc = check_range("warmup", o.warmup, 0, 1e12);
	if (rc == FT_OK && !isnan(o.optim.beta1))
		rc = check_range("beta1", o.optim.beta1, 0, 0.999999);
	if (rc == FT_OK && !isnan(o.optim.beta2))
		rc = check_range("beta2", o.optim.beta2, 0, 0.9999999);
	rc = rc ? rc : check_range("beta2-decay", o.optim.beta2_decay, 0.01, 10);
	rc = rc ? rc : check_range("clip-update", o.optim.clip_update, 1e-6, 1e6);
	rc = rc ? rc : check_range("eps", o.optim.eps, 0, 1);
	rc = rc ? rc : check_range("momentum", o.optim.momentum, 0, 0.999999);
	rc = rc ? rc : check_range("weight-decay", o.optim.weight_decay, 0, 100);
	rc = rc ? rc : check_range("clip", o.clip, 0, 1e30);
	rc = rc ? rc : check_range("accumulate", (double)o.accumulate, 1, 1e9);
	rc = rc ? rc : check_range("shards", (double)o.shards, 1, 65536);
	rc = rc ? rc : check_range("parts", (double)o.parts, 1, 1e9);
	rc = rc ? rc : check_range("memory", (double)memory, 0, 1e18);
	if (rc == FT_OK && memory && strcmp(model, "-") == 0)
		rc = ft_fail(FT_EUSAGE, "--memory needs MODEL as a file: it is read once to plan, and once to train");
	rc = rc ? rc : check_range("steps", (double)o.steps, 0, 1e15);
	rc = rc ? rc : check_range("l2-sp", o.l2_sp, 0, 1e6);
	if (rc == FT_OK && (o.ewc != NULL) != (o.ewc_weight != 0))
		rc = ft_fail(FT_EUSAGE, "--ewc FILE and --ewc-weight X are given together");
	rc = rc ? rc : check_range("ewc-weight", o.ewc_weight, 0, 1e12);
	if (rc == FT_OK && o.ema != 0)
		rc = check_range("ema", o.ema, 1e-6, 0.999999999);
	rc = rc ? rc : check_range("label-smoothing", smoothing, 0, 0.999);
	rc = rc ? rc : check_range("rdrop", o.objective.rdrop, 0, 1e6);
	rc = rc ? rc : check_range("kl-base", o.objective.kl_base, 0, 1e6);
	rc = rc ? rc : check_range("distill-weight", o.objective.distill_weight, 1e-6, 1);
	rc = rc ? rc : check_range("distill-temperature", o.objective.temperature, 0.01, 1000);
	rc = rc ? rc : check_range("beta", o.objective.beta, 1e-9, 1e6);
	rc = rc ? rc : check_range("desirable", o.objective.desirable, 0, 1e6);
	rc = rc ? rc : check_range("undesirable", o.objective.undesirable, 0, 1e6);
	rc = rc ? rc : check_range("valid-every", (double)o.valid_every, 0, 1e15);
	rc = rc ? rc : check_range("every", (double)o.every, 0, 1e15);
	if (rc == FT_OK && o.every && !o.checkpoint)
		rc = ft_fail(FT_EUSAGE, "--every needs --checkpoint FILE");
	rc = rc ? rc : check_range("patience", (double)o.patience, 0, 1e9);
	if (rc == FT_OK && !isnan(o.dropout))
		rc = check_range("dropout", o.dropout, 0, 0.99);
	if (rc == FT_OK && !o.valid && o.patience)
		rc = ft_fail(FT_EUSAGE, "--patience needs --valid FILE");
	rc = rc ? rc : parse_trunk();
	int how = ft_combine_parse("combine", combine);
	o.combine = (enum ft_combine)(how < 0 ? 0 : how);
	return rc < 0 ? rc : how < 0 ? how : FT_OK;
}

static int set_weight(const struct ft_model *m, float *weights, const char *text)
{
	const char *equals = strrchr(text, '=');
	char *end = NULL;
	double x = equals ? strtod(equals + 1, &end) : 0;
	if (!equals || end == equals + 1 || *end || !(x >= 0 && x < 1e9))
		return ft_fail(FT_EUSAGE, "--class-weight: '%s' is not LABEL=NUMBER", text);
	for (size_t i = 0; i < ft_model_outputs(m); i++) {
		const char *label = ft_model_label(m, i);
		if (label && strlen(label) == (size_t)(equals - text) && memcmp(label, text, strlen(label)) == 0) {
			weights[i] = (float)x;
			return FT_OK;
		}
	}
	return ft_fail(FT_EUSAGE, "--class-weight: %s has no label '%.*s'", ft_model_name(m), (int)(equals - text), text);
}

/* *weights is NULL when none were given. */
static int set_loss(struct ft_model *m, float **weights)
{
	*weights = NULL;
	int rc = FT_OK;
	if (class_weights.count && !(*weights = ft_alloc(ft_model_outputs(m), sizeof **weights)))
		return FT_EFAIL;
	for (size_t i = 0; *weights && i < ft_model_outputs(m); i++)
		(*weights)[i] = 1;
	for (size_t i = 0; rc == FT_OK && i < class_weights.count; i++)
		rc = set_weight(m, *weights, class_weights.item[i]);
	ft_model_loss(m, smoothing, *weights);
	return rc;
}

static int write_model(struct ft_model *m, struct ft_reader *data)
{
	struct ft_reader *parents[2] = { ft_model_reader(m), data };
	struct ft_writer *w = ft_writer_open(output, "model", ft_model_meta(m), parents, 2);
	int rc = w ? ft_model_write(m, w) : ft_last_error();
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	return rc;
}

/* What every rank reads for itself must be there for all of them: standard input and pipes are there for one. */
static int check_shared(const char *batches)
{
	const char *const inputs[] = { model, batches, o.valid, o.ewc, o.objective.teacher };
	struct stat st;
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		bool given = inputs[i] && strcmp(inputs[i], "-") == 0;
		if (given || (inputs[i] && stat(inputs[i], &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			return ft_fail(FT_EUSAGE, "%s: each of %d ranks reads it, so it must be a file",
			               given ? "stdin" : inputs[i], ft_ranks_count(o.ranks));
	}
	if (o.trunk_file)
		return ft_fail(FT_EUSAGE, "--trunk-file: %d ranks cannot keep what they compute in one file",
		               ft_ranks_count(o.ranks));
	return FT_OK;
}

static int check_use(int argc, char **argv)
{
	if (!model)
		return ft_fail(FT_EUSAGE, "-m MODEL is missing: a plan by ft-freeze, or a model folder");
	if (argc > 1)
		return ft_fail(FT_EUSAGE, "one stream of batches at most is expected");
	int rc = check_options();
	if (rc == FT_OK && json && !plan)
		rc = ft_fail(FT_EUSAGE, "--json is how --plan writes; the log is in JSON already");
	return rc == FT_OK && ft_ranks_count(o.ranks) > 1 ? check_shared(argc ? argv[0] : "-") : rc;
}

/* What the run would need, of a model without weights: each rank finds out for itself, and what rank 0 has found
 * counts. */
static int make_plan(const char *batches, struct ft_train_plan *p)
{
	float *weights = NULL;
	struct ft_model *m = ft_model_open(model, base, FT_MODEL_PLAN);
	int rc = m ? set_loss(m, &weights) : ft_last_error();
	rc = rc ? rc : ft_train_plan(m, batches, &o, (size_t)memory, p);
	ft_model_free(m);
	free(weights);
	rc = ft_ranks_agree(o.ranks, rc, "", 0, NULL);
	if (rc == FT_OK)
		ft_ranks_share(o.ranks, 0, p, sizeof *p);
	return rc;
}

static int show_plan(const char *batches)
{
	struct ft_train_plan p;
	int rc = make_plan(batches, &p);
	return rc < 0 || ft_ranks_mine(o.ranks) > 0 ? rc : ft_train_plan_write(stdout, &p, json);
}

/* Chooses what --memory takes. */
static int fit_memory(const char *batches)
{
	struct ft_train_plan p;
	char needed[16];
	int rc = make_plan(batches, &p);
	if (rc < 0)
		return rc;
	ft_human_bytes(needed, (double)p.peak);
	if (p.recompute && !o.recompute)
		ft_note("--memory: layers are computed twice (--recompute), which changes no bit");
	if (p.parts > o.parts)
		ft_note("--memory: batches are computed in parts (--parts %lld): losses have the same bits, gradients are "
		        "the same to rounding", (long long)p.parts);
	ft_note("--memory: %s are planned at the most", needed);
	o.recompute = p.recompute;
	o.parts = p.parts;
	return FT_OK;
}

static void say_memory(void)
{
	char peak[16];
	ft_human_bytes(peak, (double)ft_memory_peak());
	ft_note("--memory: %s were resident at the most", peak);
}

/* To open a pipe is to wait for its writer, and what was asked before is not heard there. */
static struct ft_reader *open_batches(const char *path)
{
	int signal = ft_signals_stop();
	if (!signal)
		return ft_reader_open(path, "batches");
	ft_fail(FT_EFAIL, "stopped by %s before anything was read", ft_signals_name(signal));
	return NULL;
}

static int train(const char *batches)
{
	float *weights = NULL;
	if (o.checkpoint) /* the first batch may be long in coming */
		ft_signals_catch();
	struct ft_model *m = ft_model_open(model, base, 0);
	struct ft_reader *data = m ? open_batches(batches) : NULL;
	int rc = data ? set_loss(m, &weights) : ft_last_error();
	rc = ft_ranks_agree(o.ranks, rc, "", 0, NULL); /* each has opened its inputs, or all fail */
	rc = rc ? rc : ft_train(m, data, &o);
	if (rc == FT_OK && memory)
		say_memory();
	if (rc == FT_OK && ft_ranks_mine(o.ranks) == 0)
		rc = write_model(m, data);
	ft_reader_close(data);
	ft_model_free(m);
	free(weights);
	return rc;
}

static int run(int argc, char **argv)
{
	int rc = ft_ranks_open(&o.ranks);
	if (ft_ranks_mine(o.ranks) > 0)
		ft_hush(); /* rank 0 speaks for all */
	rc = rc ? rc : ft_ranks_agree(o.ranks, check_use(argc, argv), "", 0, NULL);
	const char *batches = argc ? argv[0] : "-";
	if (rc == FT_OK && memory && !plan)
		rc = fit_memory(batches);
	rc = rc ? rc : plan ? show_plan(batches) : train(batches);
	ft_ranks_close(o.ranks);
	free(class_weights.item);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-train",
	.summary = "train what a plan says on a stream of batches",
	.synopsis = "-m PLAN [OPTION]... [BATCHES] > TUNED",
	.options = options,
	.run = run,
};

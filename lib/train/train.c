/* train.c - the fold: batches in, optimizer steps out. */
#include "ft/signals.h"
#include "ft/tensor.h"
#include "shards.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPARE 64 /* steps after which ranks compare their weights */

/* ---- what the stream announces ---- */
static int plan_steps(struct run *r)
{
	const json_t *meta = ft_reader_meta(r->data);
	int err = 0;
	int64_t batches = ft_json_int(meta, "batches", 0, &err);
	r->epochs = ft_json_int(meta, "epochs", 0, &err);
	if (err)
		return ft_context(err, "%s: meta", ft_reader_name(r->data));
	if (batches < 0 || batches > (int64_t)1 << 53)
		return ft_fail(FT_EFORMAT, "%s: meta: batches: %lld is not a number of batches", ft_reader_name(r->data),
		               (long long)batches);
	r->total = (batches + r->o->accumulate - 1) / r->o->accumulate;
	if (r->o->steps && (!r->total || r->o->steps < r->total))
		r->total = r->o->steps;
	if (!r->total && (r->o->schedule || (r->o->warmup > 0 && r->o->warmup < 1)))
		return ft_fail(FT_EUSAGE, "%s does not say how many batches it has, which --schedule and a --warmup below 1 "
		               "need: give --steps N, or let ft-batch count (--shuffle)", ft_reader_name(r->data));
	const char *schedule = r->o->schedule ? r->o->schedule : r->total ? "linear" : "constant";
	if (!r->total)
		ft_note("%s does not say how many batches it has: the learning rate stays constant", ft_reader_name(r->data));
	r->schedule = ft_schedule_parse(schedule);
	if (r->schedule < 0)
		return r->schedule;
	if (isnan(r->o->warmup))
		r->warmup = (r->total + 9) / 10;
	else
		r->warmup = r->o->warmup < 1 ? (int64_t)ceil(r->o->warmup * (double)r->total) : (int64_t)r->o->warmup;
	return FT_OK;
}

static double default_rate(const struct ft_model *m, const char *optimizer)
{
	int64_t width = ft_json_int(json_object_get(ft_model_meta(m), "config"), "hidden_size", 768, NULL);
	return ft_optim_rate(optimizer, width > 0 ? width : 768);
}

/* ---- errors that name rows ---- */
static int name_row(struct run *r, const struct ft_batch *b, size_t row)
{
	if (!b->src || r->sources.len > 160)
		return FT_OK;
	return ft_buf_printf(&r->sources, "%s%.*s", r->sources.len ? ", " : "", (int)b->src[row].n, b->src[row].p);
}

/* JSON has no such numbers. */
static const char *name_of(double value) { return isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

/* The log has it as it is, too. */
static int not_finite(struct run *r, const char *key, const char *what, double value)
{
	const char *rows = r->sources.len ? (const char *)r->sources.data : NULL;
	int rc = log_put(r->log, json_pack("{s:I, s:I, s:s, s:b, s:s?}", "step", (json_int_t)r->step + 1, "epoch",
	                                   (json_int_t)r->epoch, key, name_of(value), "applied", 0, "rows", rows));
	ft_optim_clear(r->optim);
	return rc ? rc
	          : ft_fail(FT_ECRITERION, "step %lld: the %s is %s (rows: %s); the step was not applied",
	                    (long long)r->step + 1, what, name_of(value), rows ? rows : "the stream does not name them");
}

int refuse_loss(struct run *r) { return not_finite(r, "loss", "loss", r->bad_loss); }

/* Finds the rows whose own loss is not finite. */
static int bad_loss(struct run *r, const struct ft_batch *b, const struct ft_output *out)
{
	r->bad_loss = out->loss_sum;
	r->sources.len = 0;
	size_t examples = ft_batch_examples(b);
	bool by_example = out->units == examples && (!b->labels || b->nlabels == examples);
	for (size_t i = 0; i < out->units && by_example; i++)
		if (!isfinite(out->loss[i]) && name_row(r, b, i) < 0)
			return FT_EFAIL;
	for (size_t i = 0; i < examples && !by_example; i++)
		if (name_row(r, b, i) < 0)
			return FT_EFAIL;
	return ft_fail(FT_ECRITERION, "a loss is not finite");
}

/* ---- one step ---- */
static int log_step(struct run *r, double norm, double rate, double penalty)
{
	json_t *entry = json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I}", "step", (json_int_t)r->step, "epoch",
	                          (json_int_t)r->epoch, "loss", r->last_loss, "lr", rate, "norm", norm, "tokens",
	                          (json_int_t)r->tokens, "supervised", (json_int_t)r->supervised, "skipped",
	                          (json_int_t)r->skipped);
	if (r->penalty && ft_json_set(entry, "penalty", json_real(penalty)) < 0) {
		json_decref(entry);
		return FT_EFAIL;
	}
	int said = ft_objective_log(r->objective, entry), rc = log_put(r->log, entry);
	return said < 0 ? said : rc;
}

static void show_progress(struct run *r)
{
	double seconds = ft_now() - r->began, done = (double)(r->step - r->began_step);
	long left = r->total ? (long)(seconds / done * (double)(r->total - r->step) + 0.5) : 0;
	char end[32] = "";
	if (r->total)
		snprintf(end, sizeof end, "  %ld:%02ld left", left / 60, left % 60);
	r->smooth = r->step == 1 ? r->last_loss : 0.95 * r->smooth + 0.05 * r->last_loss;
	ft_progress("step %lld/%lld  loss %.4f  %.0f tokens/s%s", (long long)r->step, (long long)r->total, r->smooth,
	            (double)(r->all_tokens - r->began_tokens) / (seconds > 0 ? seconds : 1), end);
}

static int apply_step(struct run *r)
{
	int rc = r->shards ? shards_step(r->shards) : FT_OK;
	if (rc < 0)
		return rc;
	if (r->supervised == 0 || r->weight <= 0)
		return ft_fail(FT_EFORMAT, "%s: batches %lld to %lld: nothing is supervised (no labels, or all ignored)",
		               ft_reader_name(r->data), (long long)(r->batch - r->in_step + 1), (long long)r->batch);
	double penalty = r->penalty ? penalty_add(r->penalty, r->weight) : 0;
	double scale = 1 / r->weight, norm = ft_optim_norm(r->optim) * scale;
	if (!isfinite(norm))
		return not_finite(r, "norm", "gradient norm", norm);
	/* As torch.nn.utils.clip_grad_norm_. */
	if (r->o->clip > 0 && norm > r->o->clip)
		scale *= r->o->clip / (norm + 1e-6);
	double rate = r->rate * ft_schedule(r->schedule, r->step, r->warmup, r->total);
	ft_optim_step(r->optim, rate, scale);
	r->step++;
	if (r->ema)
		ema_add(r->ema, r->step);
	r->last_loss = r->loss_sum / r->weight;
	r->all_tokens += r->tokens;
	r->all_units += r->supervised;
	rc = log_step(r, norm, rate, penalty);
	show_progress(r);
	r->loss_sum = r->weight = 0;
	r->supervised = r->skipped = r->in_step = r->tokens = 0;
	r->sources.len = 0;
	if (r->o->steps && r->step >= r->o->steps)
		r->stop = true;
	return rc;
}

static int validate(struct run *r)
{
	json_t *result;
	bool better;
	if (!r->valid)
		return FT_OK;
	if (r->ema)
		ema_swap(r->ema);
	int rc = validator_run(r->valid, r->graph, r->step, r->checkpoint != NULL, &result, &better);
	if (r->ema)
		ema_swap(r->ema);
	if (rc > 0)
		return checkpoint_leave(r);
	if (rc < 0) {
		json_decref(result);
		return rc;
	}
	r->mark.moved |= r->in_step > 0;
	r->valid_due = false;
	r->unbettered = better ? 0 : r->unbettered + 1;
	if (r->o->patience && r->unbettered >= r->o->patience)
		r->stop = true;
	const json_t *loss = json_object_get(result, "loss"), *f1 = json_object_get(result, "f1");
	const json_t *score = json_is_number(f1) ? f1 : json_object_get(result, "accuracy");
	if (score)
		ft_note("step %lld: validation loss %.4f, %s %.4f%s", (long long)r->step, json_number_value(loss),
		        score == f1 ? "F1" : "accuracy", json_number_value(score), better ? " (best)" : "");
	else
		ft_note("step %lld: validation loss %.4f%s", (long long)r->step, json_number_value(loss),
		        better ? " (best)" : "");
	return log_put(r->log, json_pack("{s:I, s:I, s:b, s:o}", "step", (json_int_t)r->step, "epoch",
	                                 (json_int_t)r->epoch, "best", (int)better, "valid", result));
}

/* A step is whole. */
static int end_step(struct run *r)
{
	r->valid_due = r->valid && r->o->valid_every && r->step % r->o->valid_every == 0;
	checkpoint_mark(r);
	int rc = r->step % COMPARE == 0 ? together_end(r, FT_OK) : FT_OK;
	rc = rc == FT_OK && r->valid_due ? validate(r) : rc;
	return rc ? rc : checkpoint_turn(r);
}

int run_pass(struct run *r, const struct ft_batch *b, int64_t number, int64_t record)
{
	struct ft_output out;
	const struct ft_batch *at;
	int rc = batch_run(r, b, number, &at, &out);
	if (rc < 0)
		return ft_context(rc, "%s: record %lld", ft_reader_name(r->data), (long long)record);
	if (!isfinite(out.loss_sum))
		return bad_loss(r, at, &out);
	r->loss_sum += out.loss_sum;
	r->weight += out.weight;
	r->supervised += out.supervised;
	return FT_OK;
}

static int take_batch(struct run *r, const struct ft_batch *b)
{
	int64_t record = ft_reader_count(r->data);
	for (size_t i = 0; i < ft_batch_examples(b); i++)
		if (name_row(r, b, i) < 0)
			return FT_EFAIL;
	int rc = r->shards ? shards_add(r->shards, b, record) : run_pass(r, b, r->batch, record);
	if (rc < 0)
		return rc == FT_ECRITERION ? refuse_loss(r) : rc;
	r->batch++;
	r->in_step++;
	r->skipped += (int64_t)ft_batch_skipped(b);
	r->tokens += (int64_t)b->tokens;
	if (r->in_step < r->o->accumulate)
		return FT_OK;
	rc = apply_step(r);
	return rc ? rc : end_step(r);
}

/* An epoch's end is seen when the next one begins. */
static int turn_epoch(struct run *r, const struct ft_batch *b)
{
	if (b->epoch < 0 || b->epoch == r->epoch)
		return FT_OK;
	int rc = r->batch && !r->o->valid_every ? validate(r) : FT_OK;
	r->epoch = b->epoch;
	if (!r->in_step)
		r->mark.epoch = r->epoch; /* the validation between them is done */
	return rc;
}

static int fold(struct run *r)
{
	struct ft_batch b;
	int rc = r->valid_due ? validate(r) : FT_OK; /* put off when a run was stopped */
	if (rc < 0)
		return rc;
	while ((rc = checkpoint_batch(r, &b)) > 0) {
		if (!r->stop)
			rc = turn_epoch(r, &b);
		if (rc >= 0 && !r->stop)
			rc = take_batch(r, &b);
		if (rc >= 0 && r->stop && r->checkpoint && ft_signals_stop())
			rc = checkpoint_leave(r);
		if (rc < 0)
			return rc;
		/* Stopped: what is left is read, so that its writer ends well and its
		 * end is checked. */
	}
	if (rc < 0 && r->checkpoint && ft_signals_stop()) /* while waiting for a batch; or what made them was stopped, too */
		return checkpoint_leave(r);
	if (rc == FT_OK && r->in_step && !r->stop) {
		rc = apply_step(r);
		rc = rc ? rc : end_step(r);
	}
	if (rc == FT_OK && r->step == 0)
		rc = ft_fail(FT_EFORMAT, "%s: no batches", ft_reader_name(r->data));
	bool seen = r->valid && r->o->valid_every && r->step % r->o->valid_every == 0;
	if (rc == FT_OK && r->valid && !seen && !(r->o->patience && r->unbettered >= r->o->patience))
		rc = validate(r);
	return rc;
}

static int summarise(struct run *r)
{
	json_t *t = json_pack("{s:I, s:I, s:I, s:f, s:f, s:s}", "steps", (json_int_t)r->step, "tokens",
	                      (json_int_t)r->all_tokens, "supervised", (json_int_t)r->all_units, "loss", r->last_loss,
	                      "lr", r->rate, "kernels", ft_isa());
	int rc = FT_OK;
	if (r->o->parts > 1)
		rc = ft_json_set(t, "parts", json_integer(r->o->parts));
	if (r->valid)
		rc |= ft_json_set(t, "best_step", json_integer(validator_best_step(r->valid))) |
		     ft_json_set(t, "valid", json_incref((json_t *)validator_best(r->valid)));
	rc |= ft_json_set(ft_model_meta(r->m), "trained", t);
	return rc ? FT_EFAIL : FT_OK;
}

int run_check(const struct run *r)
{
	const struct ft_model *m = r->m;
	for (size_t i = 0; i < ft_model_params(m); i++)
		if (ft_model_param(m, i)->trains)
			return ft_model_match(m, r->data);
	return ft_fail(FT_EUSAGE, "nothing trains in %s; ft-freeze makes another plan", ft_model_name(m));
}

static int open_trunk(struct run *r)
{
	int layers = r->o->trunk == FT_TRUNK_RANDOM ? 0 : ft_model_still(r->m);
	if (r->o->trunk == FT_TRUNK_RANDOM)
		return FT_OK;
	if (layers == 0)
		return ft_fail(FT_EUSAGE, "%s: no layer lies below all that trains (ft-freeze --last-layers)",
		               ft_model_name(r->m));
	r->trunk = ft_trunk_new(layers, r->o->trunk == FT_TRUNK_KEEP, r->o->trunk_file);
	ft_model_trunk(r->m, r->trunk);
	return r->trunk ? FT_OK : FT_EFAIL;
}

static void say_trunk(const struct run *r)
{
	struct ft_trunk_use use = r->trunk ? ft_trunk_use(r->trunk) : (struct ft_trunk_use){ 0 };
	if (use.rows)
		ft_note("trunk: %zu texts kept in %.1f MB; computed for %lld batches, started from for %lld", use.rows,
		        1e-6 * use.bytes, (long long)use.computed, (long long)use.reused);
}

int run_open(struct run *r)
{
	if (!isnan(r->o->dropout))
		ft_model_dropout(r->m, r->o->dropout);
	int rc = open_trunk(r);
	if (rc < 0)
		return rc;
	r->graph = ft_graph_new();
	if (r->graph)
		ft_graph_recompute(r->graph, r->o->recompute);
	r->objective = r->graph ? ft_objective_new(r->m, &r->o->objective) : NULL;
	r->optim = r->objective ? ft_optim_new(r->m, &r->o->optim) : NULL;
	if (!r->optim)
		return ft_last_error();
	return FT_OK;
}

void run_close(struct run *r)
{
	ft_model_trunk(r->m, NULL);
	ft_trunk_free(r->trunk);
	ft_optim_free(r->optim);
	ft_objective_free(r->objective);
	ft_graph_free(r->graph);
	ft_batch_part_free(&r->part);
	ft_buf_free(&r->sources);
}

static int open_run(struct run *r)
{
	int rc = run_check(r);
	rc = rc ? rc : plan_steps(r);
	rc = rc ? rc : run_open(r);
	if (rc < 0)
		return rc;
	r->rate = r->o->rate > 0 ? r->o->rate : default_rate(r->m, r->o->optim.name);
	bool parts = r->o->shards > 1 || ft_ranks_count(r->ranks) > 1;
	if (parts && !(r->shards = shards_new(r)))
		return ft_last_error();
	if ((r->o->l2_sp > 0 || r->o->ewc) && !(r->penalty = penalty_new(r->m, r->o)))
		return ft_last_error();
	if (r->o->ema > 0 && !(r->ema = ema_new(r->m, r->o->ema)))
		return ft_last_error();
	if (r->o->valid && !(r->valid = validator_new(r->m, r->o->valid, r->o->metric, r->o->combine)))
		return ft_last_error();
	return FT_OK;
}

/* Where it begins, or goes on. */
static int begin(struct run *r)
{
	json_t *place = NULL;
	bool first = ft_ranks_mine(r->ranks) == 0;
	int rc = r->o->checkpoint && first ? checkpoint_open(r, &place) : FT_OK;
	rc = together(r, rc);
	if (rc == FT_OK && r->o->checkpoint)
		rc = checkpoint_share(r);
	if (rc == FT_OK && !(r->log = log_open(first ? r->o->log : NULL, place)))
		rc = ft_last_error();
	json_decref(place);
	r->began = ft_now();
	r->began_step = r->step;
	r->began_tokens = r->all_tokens;
	return rc;
}

/* All that trained differs from the base from now on; what was made for this
 * model goes with it, so that no later seed can change it. */
static void mark_trained(struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++)
		ft_model_param(m, i)->stored |= ft_model_param(m, i)->trains || ft_model_param(m, i)->fresh;
}

/* The weights become those of the result. */
static int settle(struct run *r)
{
	if (r->valid && !r->finished)
		validator_restore(r->valid);
	else if (r->ema && !r->finished)
		ema_swap(r->ema);
	return checkpoint_finish(r);
}

/* What stays to be said when a run without a checkpoint is stopped. */
static void leave_words(char words[160])
{
	snprintf(words, 160, "%s%s: stopped: nothing was written (--checkpoint FILE keeps what is done)\n",
	         isatty(STDERR_FILENO) ? "\r\033[K" : "", program_invocation_short_name);
	if (!ft_quiet())
		ft_signals_words(words);
}

int ft_train(struct ft_model *m, struct ft_reader *data, const struct ft_train_options *o)
{
	struct run r = { .m = m, .data = data, .o = o, .ranks = o->ranks };
	char words[160];
	if (!o->checkpoint)
		leave_words(words);
	int rc = together_begin(&r, open_run(&r));
	rc = rc ? rc : begin(&r);
	if (rc == FT_OK && !r.finished)
		rc = fold(&r);
	rc = together_end(&r, rc);
	ft_progress_end();
	rc = rc ? rc : settle(&r);
	rc = rc ? rc : summarise(&r);
	mark_trained(m);
	if (r.log && rc == FT_OK) {
		rc = log_close(r.log);
		r.log = NULL;
	}
	log_free(r.log);
	checkpoint_close(r.checkpoint);
	ft_signals_release();
	validator_free(r.valid);
	ema_free(r.ema);
	penalty_free(r.penalty);
	shards_free(r.shards);
	say_trunk(&r);
	run_close(&r);
	return rc;
}

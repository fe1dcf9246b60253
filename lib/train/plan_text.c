/* plan_text.c - a plan as a table, or as a line of JSON. */
#include "priv.h"

#include <stdlib.h>

static int write_json(FILE *f, const struct ft_train_plan *p)
{
	json_t *o = json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:b, s:f, s:f, s:f, s:f}",
	                      "bytes", "program", (json_int_t)p->program, "weights", (json_int_t)p->weights, "base_file",
	                      (json_int_t)p->in_file, "gradients", (json_int_t)p->gradients, "optimizer",
	                      (json_int_t)p->state, "copies", (json_int_t)p->copies, "activations",
	                      (json_int_t)p->activations, "buffers", (json_int_t)p->buffers, "peak", (json_int_t)p->peak,
	                      "batches", (json_int_t)p->batches, "steps", (json_int_t)p->steps, "parts",
	                      (json_int_t)p->parts, "recompute", (int)p->recompute, "macs", p->macs, "valid_macs",
	                      p->valid_macs, "macs_per_second", p->rate, "seconds", (p->macs + p->valid_macs) / p->rate);
	char *text = o ? ft_json_text(o) : NULL;
	if (text)
		fprintf(f, "%s\n", text);
	json_decref(o);
	int rc = text ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a plan");
	free(text);
	return rc;
}

static void put_bytes(FILE *f, const char *what, size_t bytes, const char *of)
{
	char text[16];
	ft_human_bytes(text, (double)bytes);
	if (bytes)
		fprintf(f, "%-12s %10s  %s\n", what, text, of);
}

static void put_time(FILE *f, double seconds)
{
	long s = (long)(seconds + 0.5);
	if (s >= 3600)
		fprintf(f, "%ld:%02ld:%02ld hours", s / 3600, s / 60 % 60, s % 60);
	else if (s >= 60)
		fprintf(f, "%ld:%02ld minutes", s / 60, s % 60);
	else
		fprintf(f, "%.2g seconds", seconds);
}

int ft_train_plan_write(FILE *f, const struct ft_train_plan *p, bool json)
{
	if (json)
		return write_json(f, p);
	put_bytes(f, "program", p->program, "");
	put_bytes(f, "weights", p->weights, "in memory");
	put_bytes(f, "base", p->in_file, "in its file, which the system reads as it needs to");
	put_bytes(f, "gradients", p->gradients, "");
	put_bytes(f, "optimizer", p->state, "");
	put_bytes(f, "copies", p->copies, "of weights, and of texts for a kept trunk");
	put_bytes(f, "activations", p->activations, p->recompute ? "each layer computed twice" : "");
	put_bytes(f, "buffers", p->buffers, "of products, threads and streams");
	put_bytes(f, "peak", p->peak, "");
	fprintf(f, "%lld steps of %.4g multiply-adds, %.4g in all", (long long)p->steps, p->macs / (double)p->steps,
	        p->macs);
	if (p->valid_macs > 0)
		fprintf(f, ", and %.4g to validate", p->valid_macs);
	if (p->parts > 1)
		fprintf(f, "; each batch in %lld parts", (long long)p->parts);
	fprintf(f, "\nabout ");
	put_time(f, (p->macs + p->valid_macs) / p->rate);
	fprintf(f, " of products, at the %.3g multiply-adds a second measured now: an estimate\n", p->rate);
	return FT_OK;
}

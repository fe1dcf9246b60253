/* plan.c - the memory that ft-train --plan states, against what the system says that the run had. */
#include "ft/batch.h"
#include "ft/json.h"
#include "ft/kernels.h"
#include "ft/rng.h"
#include "ft/tensor.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/ft-test.XXXXXX";

/* ---- networks from a configuration, as folders ---- */
#define VOCABULARY 4000

struct network {
	const char *name, *head, *config;
};

static const struct network networks[] = {
	{ "bert", "classify:a,b",
	  "{\"model_type\":\"bert\",\"hidden_size\":256,\"intermediate_size\":1024,\"num_hidden_layers\":4,\"num_attention_heads\":4,"
	  "\"vocab_size\":4000,\"max_position_embeddings\":512}" },
	{ "gpt2", "lm",
	  "{\"model_type\":\"gpt2\",\"n_embd\":256,\"n_layer\":4,\"n_head\":4,\"vocab_size\":4000,\"n_positions\":512}" },
	{ "llama", "lm",
	  "{\"model_type\":\"llama\",\"hidden_size\":256,\"intermediate_size\":688,\"num_hidden_layers\":4,"
	  "\"num_attention_heads\":8,\"num_key_value_heads\":2,\"vocab_size\":4000,\"max_position_embeddings\":512,"
	  "\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":false}" },
};

static int shell(const char *fmt, ...)
{
	char command[1024];
	int n = snprintf(command, sizeof command, "cd %s && PATH=$BUILD/bin:$PATH && set -f && ", dir);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command + n, sizeof command - (size_t)n, fmt, ap);
	va_end(ap);
	return system(command);
}

static void make_networks(void)
{
	for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
		const struct network *n = &networks[i];
		int rc = shell("mkdir %s.0 && echo '%s' > %s.0/config.json && ft-freeze -q --init --head %s %s.0 > %s.init && "
		               "ft-export -q -m %s.init --to hf %s", n->name, n->config, n->name, n->head, n->name, n->name, n->name,
		               n->name);
		ok(rc == 0, "%s: a folder", n->name);
	}
}

/* ---- batches of random ids ---- */
static int write_batches(const char *name, bool words, int rows, int length, int count)
{
	char path[128];
	struct ft_rng r;
	static int32_t ids[1 << 14], labels[1 << 14], offsets[1 << 10];
	json_t *meta = words ? json_pack("{s:s}", "task", "lm") : json_pack("{s:s, s:[s,s]}", "task", "classify", "labels", "a", "b");
	struct ft_batch b = { .ids = ids, .offsets = offsets, .labels = labels };
	snprintf(path, sizeof path, "%s/%s", dir, name);
	struct ft_writer *w = ft_writer_open(path, "batches", meta, NULL, 0);
	int rc = w ? 0 : -1;
	ft_rng_init(&r, 5, (uint64_t)length);
	for (int i = 0; rc == 0 && i < count; i++) {
		b.rows = (size_t)(rows - i);
		for (int k = 0; k <= rows - i; k++)
			offsets[k] = k * length;
		b.tokens = (size_t)((rows - i) * length);
		b.nlabels = words ? b.tokens : b.rows;
		for (size_t t = 0; t < b.tokens; t++) {
			ids[t] = (int32_t)ft_rng_below(&r, VOCABULARY);
			labels[t] = words ? (int32_t)ft_rng_below(&r, VOCABULARY) : (int32_t)(t % 2);
		}
		rc = ft_batch_write(w, &b);
	}
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

/* ---- a run, and its peak ---- */
static int run(const char *command, double *peak)
{
	struct rusage used;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char whole[1024];
		snprintf(whole, sizeof whole, "cd %s && exec $BUILD/bin/%s", dir, command);
		execl("/bin/sh", "sh", "-c", whole, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0)
		return -1;
	*peak = (double)used.ru_maxrss * 1024;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static double planned(void)
{
	char path[128];
	snprintf(path, sizeof path, "%s/plan.json", dir);
	json_t *o = ft_json_load(path);
	double bytes = json_number_value(json_object_get(json_object_get(o, "bytes"), "peak"));
	json_decref(o);
	return bytes;
}

static const struct row {
	const char *network, *plan, *options, *batches;
	bool often; /* in the short test, too */
} rows[] = {
	{ "bert", "", "", "rows", true },
	{ "bert", "--last-layers 1", "--optimizer sgd --valid rows", "rows", true },
	{ "bert", "--lora r=8 --base-type nf4", "--rdrop 1", "rows", true },
	{ "gpt2", "", "--optimizer adamw8bit", "texts", true },
	{ "llama", "--lora r=8 --base-type q8_0", "--recompute", "long", true },
	{ "llama", "--last-layers 1", "--checkpoint c --every 1", "texts", true },
	{ "bert", "--train head*", "--ema 0.9", "many", false },
	{ "bert", "", "--optimizer sgd", "few", false },
	{ "bert", "--freeze embed*", "--ema 0.9 --valid rows", "rows", false },
	{ "bert", "--lora r=8", "--valid rows --l2-sp 0.1", "many", false },
	{ "bert", "--last-layers 2", "--trunk keep", "many", false },
	{ "bert", "--last-layers 2", "--recompute --optimizer adafactor", "many", false },
	{ "bert", "--lora r=8 --base-type q8_0", "--parts 4", "many", false },
	{ "gpt2", "--last-layers 2", "--optimizer lion", "long", false },
	{ "gpt2", "--lora r=8 --base-type nf4", "--rdrop 1 --dropout 0.1", "texts", false },
	{ "gpt2", "", "--recompute --ema 0.9 --valid long", "texts", false },
	{ "gpt2", "", "--kl-base 0.1", "texts", false },
	{ "gpt2", "--prompt n=10", "", "texts", false },
	{ "llama", "", "", "texts", false },
	{ "llama", "", "--optimizer adamw8bit --parts 2", "long", false },
	{ "llama", "--ia3", "--accumulate 2", "texts", false },
	{ "llama", "--lora r=8,dora", "", "long", false },
	{ "llama", "--prefix n=8", "--recompute", "texts", false },
	{ "bert", "--vera", "", "rows", false },
	{ "bert", "", "--shards 4", "few", false },
};

/* A plan, a command, and within a twentieth of one another. */
static void check(const struct row *r)
{
	char command[512];
	double peak = 0, off;
	int rc = shell("ft-freeze -q %s %s > plan.ft && ft-train --plan --json %s -m plan.ft %s > plan.json", r->plan, r->network, r->options,
	               r->batches);
	snprintf(command, sizeof command, "ft-train -q %s -m plan.ft -o out.ft %s", r->options, r->batches);
	if (rc == 0)
		rc = run(command, &peak);
	off = rc == 0 ? planned() / peak - 1 : INFINITY;
	ok(fabs(off) <= 0.05, "%s %s, %s, %s: %.1f MB, planned %+.1f %%", r->network, r->plan, r->options, r->batches,
	   peak / 1e6, 100 * off);
}

static const char *reason(void)
{
#ifdef __SANITIZE_ADDRESS__
	return "a sanitizer has memory of its own";
#endif
	return !getenv("BUILD") || !mkdtemp(dir) ? "no build is named" : NULL;
}

int main(void)
{
	const char *why = reason();
	if (why)
		return tap_skip(why), tap_done();
	make_networks();
	ok(write_batches("rows", false, 16, 64, 1) == 0 && write_batches("few", false, 40, 24, 3) == 0 &&
	   write_batches("many", false, 40, 96, 2) == 0 && write_batches("texts", true, 16, 64, 1) == 0 &&
	   write_batches("long", true, 3, 500, 1) == 0, "batches");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].often || getenv("FT_TEST_LONG"))
			check(&rows[i]);
	shell("rm -rf %s", dir);
	return tap_done();
}

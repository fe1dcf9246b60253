/* ft-teach - puts what a model predicts into batches, for whoever learns from it. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/objective.h"

static const char *model, *base, *output = "-";
static int64_t top = 32;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model, "MODEL", "the teacher: a folder, a GGUF file, or a stream of ft-train", FT_OPT_QUIET },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base model of a stream lies here", FT_OPT_QUIET },
	{ "output", 'o', FT_OPT_STR, &output, "FILE", "write to FILE instead of stdout, when complete", FT_OPT_QUIET },
	{ "top", 0, FT_OPT_INT, &top, "N", "lm, mlm: the N likeliest words of each token (default: 32)", 0 },
	{ 0 },
};

static int teach(struct ft_teacher *t, struct ft_reader *data, struct ft_writer *w)
{
	struct ft_batch b;
	int64_t tokens = 0;
	double start = ft_now();
	int rc;
	while ((rc = ft_batch_read(data, &b)) > 0) {
		rc = ft_teacher_add(t, &b);
		if (rc < 0)
			return ft_context(rc, "%s: record %lld", ft_reader_name(data), (long long)ft_reader_count(data));
		rc = ft_batch_write(w, &b);
		if (rc < 0)
			return rc;
		tokens += (int64_t)b.tokens;
		ft_progress("%lld batches, %.0f tokens/s", (long long)ft_reader_count(data),
		            (double)tokens / (ft_now() - start + 1e-9));
	}
	return rc;
}

static int run(int argc, char **argv)
{
	if (!model)
		return ft_fail(FT_EUSAGE, "-m MODEL is missing: whose predictions are wanted");
	if (argc > 1)
		return ft_fail(FT_EUSAGE, "one stream of batches at most is expected");
	if (top < 1 || top > 4096)
		return ft_fail(FT_EUSAGE, "--top must be from 1 to 4096");
	struct ft_model *m = ft_model_open(model, base, FT_MODEL_READ);
	struct ft_reader *data = m ? ft_reader_open(argc ? argv[0] : "-", "batches") : NULL;
	int rc = data ? ft_model_match(m, data) : ft_last_error();
	struct ft_teacher *t = rc == FT_OK ? ft_teacher_new(m, top) : NULL;
	struct ft_reader *parents[2] = { data, m ? ft_model_reader(m) : NULL };
	struct ft_writer *w = t ? ft_writer_open(output, "batches", ft_reader_meta(data), parents, parents[1] ? 2 : 1)
	                        : NULL;
	rc = w ? teach(t, data, w) : ft_last_error();
	rc = rc ? rc : ft_writer_close(w);
	ft_progress_end();
	ft_writer_free(w);
	ft_teacher_free(t);
	ft_reader_close(data);
	ft_model_free(m);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-teach",
	.summary = "put what a model predicts into batches",
	.synopsis = "-m MODEL [OPTION]... [BATCHES] > BATCHES",
	.options = options,
	.run = run,
};

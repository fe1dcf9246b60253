/* ft-export - a model as files that other programs read. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/format.h"
#include "ft/mem.h"
#include "ft/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *model, *base, *to = "hf", *dtype = "f32";
static bool force, json;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model, "MODEL", "export MODEL: a model stream, a folder of Hugging Face or of an adapter, or a GGUF file",
	  0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR",
	  "the folder of the base model, where the hint of the stream or the adapter does not lead", FT_OPT_QUIET },
	{ "to", 't', FT_OPT_STR, &to, "FORMAT", "the format: hf, a Hugging Face folder; gguf, a file for llama.cpp; peft, adapterhub and gguf-lora, only what was added to the base, for PEFT, AdapterHub's library and llama.cpp (default: hf)", 0 },
	{ "dtype", 'd', FT_OPT_STR, &dtype, "TYPE", "store weights as f32, f16 or bf16, and in a GGUF file also q8_0 or q4_0 (default: f32)", 0 },
	{ "force", 'f', FT_OPT_FLAG, &force, NULL,
	  "replace a model folder, an archive or a file that is there already", FT_OPT_QUIET },
	{ "json", 0, FT_OPT_FLAG, &json, NULL, "print what was written and compared as JSON on stdout",
	  FT_OPT_QUIET },
	{ 0 },
};

/* A type by its name, when the format has it. */
static int parse_dtype(const struct ft_format *f, enum ft_dtype *t)
{
	static const enum ft_dtype types[] = { FT_F32, FT_F16, FT_BF16, FT_Q8_0, FT_Q4_0 };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcasecmp(dtype, ft_dtype_name(types[i])) && strcasestr(f->types, dtype)) {
			*t = types[i];
			return FT_OK;
		}
	return ft_fail(FT_EUSAGE, "--dtype: '%s' is not one of %s", dtype, f->types);
}

/* What a reader of files in this format looks at is the end of the name. */
static int check_name(const struct ft_format *f, const char *dest)
{
	const char *end = f->file ? strrchr(f->file, '.') : "";
	size_t n = strlen(dest), m = strlen(end);
	return n > m && strcmp(dest + n - m, end) == 0 ? FT_OK
	       : ft_fail(FT_EUSAGE, "%s: the name of %s ends in %s", dest, f->summary, end);
}

static int print_json(const struct ft_model *m, const char *dest, enum ft_dtype t,
                      const struct ft_verified *v, const struct ft_verified *merged)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:{s:I, s:I, s:f, s:f}}", "path", dest, "format", to,
	                      "architecture", ft_model_architecture(m), "dtype", ft_dtype_name(t), "tensors",
	                      (json_int_t)v->params, "probe", "rows", (json_int_t)v->rows, "tokens",
	                      (json_int_t)v->tokens, "difference", v->difference, "allowed", v->allowed);
	if (o && merged && ft_json_set(o, "merged", json_pack("{s:f, s:f}", "difference", merged->difference, "allowed",
	                                                      merged->allowed)) < 0)
		return FT_EFAIL;
	char *text = o ? ft_json_text(o) : NULL;
	json_decref(o);
	if (!text)
		return ft_fail(FT_EFAIL, "%s: the name is not UTF-8", dest);
	puts(text);
	free(text);
	return ft_print_flush();
}

static void report(const struct ft_model *m, const struct ft_format *f, const char *dest, enum ft_dtype t,
                   const struct ft_verified *v)
{
	ft_note("%s: %s%s, %zu tensors as %s", dest, f->adapter ? "adapter of " : "", ft_model_architecture(m), v->params,
	        ft_dtype_name(t));
	if (!v->rows)
		ft_note("read back: all tensors are equal");
	else if (f->adapter)
		ft_note("read back beside its base: outputs of %zu rows (%zu tokens) differ by at most %.2g (allowed: %.2g)",
		        v->rows, v->tokens, v->difference, v->allowed);
	else if (t == FT_F32)
		ft_note("read back: all weights and the outputs of %zu rows (%zu tokens) are equal", v->rows,
		        v->tokens);
	else
		ft_note("read back: all weights are equal once rounded; outputs of %zu rows (%zu tokens) "
		        "differ by at most %.2g (allowed: %.2g)",
		        v->rows, v->tokens, v->difference, v->allowed);
}

/* Weights that nothing has trained are exported too, but not silently. */
static void warn_untrained(const struct ft_model *m)
{
	size_t n = 0;
	const char *first = NULL;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (p->fresh && !p->stored && n++ == 0)
			first = p->file;
	}
	if (n)
		ft_warn("%s: %zu tensors are random, nothing has trained them (%s%s)", ft_model_name(m), n,
		        first, n > 1 ? ", …" : "");
}

/* `merged`: what merging has moved, or NULL. */
static int export_model(struct ft_model *m, const struct ft_format *format, enum ft_dtype t, const char *dest,
                        const struct ft_verified *merged)
{
	struct ft_verified v;
	struct ft_outdir *out = ft_outdir_open(dest, format->file, force);
	if (!out)
		return ft_last_error();
	char *path = ft_format("%s%s%s", ft_outdir_path(out), format->file ? "/" : "", format->file ? format->file : "");
	int rc = path ? format->write(m, path, t) : FT_EFAIL;
	if (rc == FT_OK)
		rc = ft_export_verify(m, format, path, t, &v);
	if (rc < 0)
		ft_context(rc, "%s", dest);
	else if (json)
		rc = print_json(m, dest, t, &v, merged);
	rc = rc ? rc : ft_outdir_commit(out);
	ft_outdir_free(out);
	free(path);
	if (rc < 0)
		return rc;
	warn_untrained(m);
	if (!json)
		report(m, format, dest, t, &v);
	return FT_OK;
}

static int run(int argc, char **argv)
{
	enum ft_dtype t = FT_F32;
	const struct ft_format *format = ft_format_find(to);
	if (!format || parse_dtype(format, &t) < 0)
		return ft_last_error();
	if (!model)
		return ft_fail(FT_EUSAGE, "no model: -m MODEL is needed");
	if (argc != 1)
		return ft_fail(FT_EUSAGE, "%d destinations; one folder, archive or file is needed", argc);
	if (check_name(format, argv[0]) < 0)
		return ft_last_error();
	struct ft_model *m = ft_model_open(model, base, 0);
	if (!m)
		return ft_last_error();
	struct ft_verified merged = { 0 };
	bool merge = ft_model_adapted(m) && !format->adapter;
	int rc = ft_format_check(format, m);
	rc = rc == FT_OK && merge ? ft_export_merge(m, &merged) : rc;
	if (rc == FT_OK && merge)
		ft_note("merged: outputs of %zu rows (%zu tokens) differ by at most %.2g (allowed: %.2g)", merged.rows,
		        merged.tokens, merged.difference, merged.allowed);
	rc = rc ? rc : export_model(m, format, t, argv[0], merge ? &merged : NULL);
	ft_model_free(m);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-export",
	.summary = "write a model as files that other programs read",
	.synopsis = "-m MODEL [--to hf] [OPTION]... DIR\n"
	            "-m MODEL [--to hf] [OPTION]... FILE.tar[.zst|.gz]\n"
	            "-m MODEL --to gguf [OPTION]... FILE.gguf\n"
	            "-m MODEL --to gguf-lora [OPTION]... FILE.gguf\n"
	            "-m MODEL --to peft|adapterhub [OPTION]... DIR",
	.options = options,
	.run = run,
};

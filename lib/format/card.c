/* card.c - the model card: README.md of an exported folder, with where the
 * model comes from, step by step.
 *
 * No name of the destination, clock or host stands in it, so that equal
 * inputs give equal bytes. Text that came from files (labels, options) is
 * always a code span, so that it cannot become markup.
 */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABELS_SHOWN 200

/* A card under construction; after a failure everything is ignored. */
struct card {
	struct ft_buf text;
	bool sentences; /* of a sentence-transformers folder */
	bool adapter;   /* of a PEFT folder */
	int rc;
};

__attribute__((format(printf, 2, 3))) static void put(struct card *c, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	va_start(ap, fmt);
	if (c->rc == FT_OK && vasprintf(&text, fmt, ap) < 0) {
		c->rc = ft_fail(FT_EFAIL, "out of memory for a model card");
		text = NULL;
	}
	va_end(ap);
	if (c->rc == FT_OK)
		c->rc = ft_buf_append(&c->text, text, strlen(text));
	free(text);
}

/* Text as a code span. Control characters, which would end it, become spaces;
 * in a cell of a table '|' must be escaped, elsewhere it must not. */
static void put_span(struct card *c, const char *s, bool cell)
{
	size_t run = 0, longest = 0;
	for (const char *p = s; *p; p++) {
		run = *p == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	char fence[16];
	size_t n = longest + 1 < sizeof fence ? longest + 1 : sizeof fence - 1;
	memset(fence, '`', n);
	fence[n] = '\0';
	const char *pad = longest || !*s || *s == ' ' ? " " : "";
	put(c, "%s%s", fence, pad);
	for (; *s && c->rc == FT_OK; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			put(c, " ");
		else if (*s == '|' && cell)
			put(c, "\\|");
		else if (*s != '`' || longest + 1 < sizeof fence)
			c->rc = ft_buf_append(&c->text, s, 1);
	}
	put(c, "%s%s", pad, fence);
}

static void put_code(struct card *c, const char *s)
{
	put_span(c, s, false);
}

static void put_cell(struct card *c, const char *s)
{
	put_span(c, s, true);
}

/* ---- what it is ---- */

static const struct {
	enum ft_task task;
	const char *pipeline, *class, *use;
} uses[] = {
	{ FT_TASK_NONE, "feature-extraction", "AutoModel", "vectors = model(**inputs).last_hidden_state" },
	{ FT_TASK_CLASSIFY, "text-classification", "AutoModelForSequenceClassification",
	  "label = model.config.id2label[model(**inputs).logits.argmax(-1).item()]" },
	{ FT_TASK_MULTILABEL, "text-classification", "AutoModelForSequenceClassification",
	  "probabilities = model(**inputs).logits.sigmoid()" },
	{ FT_TASK_REGRESS, "text-classification", "AutoModelForSequenceClassification",
	  "values = model(**inputs).logits" },
	{ FT_TASK_TAG, "token-classification", "AutoModelForTokenClassification",
	  "tags = [model.config.id2label[i] for i in model(**inputs).logits.argmax(-1)[0].tolist()]" },
	{ FT_TASK_LM, "text-generation", "AutoModelForCausalLM",
	  "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))" },
	{ FT_TASK_MLM, "fill-mask", "AutoModelForMaskedLM", "logits = model(**inputs).logits" },
};

/* The line of uses[] for a task. */
static size_t use_of(enum ft_task t)
{
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		if (uses[i].task == t)
			return i;
	return 0;
}

static void put_row(struct card *c, const char *what, const char *value)
{
	if (!value)
		return;
	put(c, "| %s | ", what);
	put_cell(c, value);
	put(c, " |\n");
}

static void put_facts(struct card *c, const struct ft_model *m, enum ft_dtype dtype)
{
	const json_t *meta = ft_model_meta(m), *base = json_object_get(meta, "base");
	const char *path = json_string_value(json_object_get(base, "path"));
	size_t count = 0;
	for (size_t i = 0; i < ft_model_params(m); i++)
		count += (size_t)ft_model_param(m, i)->t.rows * (size_t)ft_model_param(m, i)->t.cols;
	put(c, "# %s\n\nMade with `ft`.\n\n| | |\n|---|---|\n", ft_model_architecture(m));
	put_row(c, "task", ft_task_name(ft_model_task(m)));
	put(c, "| parameters | %zu |\n", count);
	put_row(c, "weights", ft_dtype_name(dtype));
	put_row(c, "base model", path ? ft_public_name(path) : NULL);
	put_row(c, "digest of the base", json_string_value(json_object_get(base, "digest")));
	put_row(c, "digest of the tokenizer",
	        json_string_value(json_object_get(json_object_get(meta, "tokenizer"), "digest")));
}

static void put_labels(struct card *c, const struct ft_model *m)
{
	size_t n = ft_model_outputs(m);
	if (!n || !ft_model_label(m, 0))
		return;
	put(c, "\n## Labels\n\n| output | label |\n|---|---|\n");
	for (size_t i = 0; i < n && i < LABELS_SHOWN; i++) {
		put(c, "| %zu | ", i);
		put_cell(c, ft_model_label(m, i));
		put(c, " |\n");
	}
	if (n > LABELS_SHOWN)
		put(c, "\nThe other %zu are in `config.json`.\n", n - LABELS_SHOWN);
}

/* Weights that no training has touched, such as a plan's new head. */
static void put_untrained(struct card *c, const struct ft_model *m)
{
	bool any = false;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (!p->fresh || p->stored)
			continue;
		put(c, any ? ", " : "\nThese weights are random; nothing has trained them: ");
		put_code(c, p->file);
		any = true;
	}
	if (any)
		put(c, ".\n");
}

/* ---- how good it is ---- */

/* Numbers and texts of an object as table rows, members of members with dotted
 * names; without what there is for each class, which may be hundreds. */
static void put_values(struct card *c, const json_t *v, const char *name, int depth)
{
	const char *key;
	json_t *member;
	if (json_is_object(v) && depth < 4) {
		json_object_foreach((json_t *)(uintptr_t)v, key, member) {
			if (!strcmp(key, "classes"))
				continue;
			char *full = *name ? ft_format("%s.%s", name, key) : ft_strdup(key);
			if (!full)
				c->rc = FT_EFAIL;
			else
				put_values(c, member, full, depth + 1);
			free(full);
		}
	} else if (json_is_number(v) || json_is_string(v) || json_is_boolean(v)) {
		char *text = json_is_string(v) ? ft_strdup(json_string_value(v)) : ft_json_text(v);
		put(c, "| ");
		put_cell(c, name);
		put(c, " | ");
		put_cell(c, text ? text : "");
		put(c, " |\n");
		c->rc = text ? c->rc : FT_EFAIL;
		free(text);
	}
}

static void put_results(struct card *c, const struct ft_model *m)
{
	const json_t *trained = json_object_get(ft_model_meta(m), "trained");
	if (!json_is_object(trained) || !json_object_size(trained))
		return;
	put(c, "\n## Training\n\n| | |\n|---|---|\n");
	put_values(c, trained, "", 0);
}

/* ---- how to use it ---- */

/* Beside its base, which has no outputs of its own. */
static void put_adapter_use(struct card *c, const struct ft_model *m, size_t i)
{
	const json_t *meta = ft_model_meta(m), *words = json_object_get(json_object_get(meta, "config"), "vocab_size");
	char outputs[48] = "", grown[80] = "";
	if (json_object_get(meta, "tokens"))
		snprintf(grown, sizeof grown, "model.resize_token_embeddings(%lld)\n", (long long)json_integer_value(words));
	if (ft_model_outputs(m))
		snprintf(outputs, sizeof outputs, ", num_labels=%zu", ft_model_outputs(m));
	put(c,
	    "\n## Use\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoTokenizer, %s\n\n"
	    "folder, base = \".\", \"base\"  # where this file lies, and the base model\n"
	    "tokenizer = AutoTokenizer.from_pretrained(folder)\n"
	    "model = %s.from_pretrained(base%s)\n%s"
	    "model = PeftModel.from_pretrained(model, folder)\n"
	    "inputs = tokenizer(\"Some text.\", return_tensors=\"pt\")\n%s\n```\n",
	    uses[i].class, uses[i].class, outputs, grown, uses[i].use);
}

static void put_use(struct card *c, const struct ft_model *m)
{
	size_t i = use_of(ft_model_task(m));
	if (c->sentences) {
		put(c, "\n## Use\n\n```python\nfrom sentence_transformers import SentenceTransformer\n\n"
		       "folder = \".\"  # where this file lies\n"
		       "vectors = SentenceTransformer(folder).encode([\"Some text.\"])\n```\n");
		return;
	}
	if (c->adapter) {
		put_adapter_use(c, m, i);
		return;
	}
	put(c,
	    "\n## Use\n\n```python\nfrom transformers import AutoTokenizer, %s\n\n"
	    "folder = \".\"  # where this file lies\n"
	    "tokenizer = AutoTokenizer.from_pretrained(folder)\nmodel = %s.from_pretrained(folder)\n"
	    "inputs = tokenizer(\"Some text.\", return_tensors=\"pt\")\n%s\n```\n",
	    uses[i].class, uses[i].class, uses[i].use);
}

/* ---- where it comes from ---- */

static void put_entry(struct card *c, size_t number, const json_t *entry)
{
	const char *tool = json_string_value(json_object_get(entry, "tool"));
	const char *version = json_string_value(json_object_get(entry, "version"));
	size_t i;
	json_t *v;
	put(c, "%zu. ", number);
	put_code(c, tool ? tool : "?");
	put(c, " ");
	put_code(c, version ? version : "?");
	json_array_foreach(json_object_get(entry, "options"), i, v) {
		put(c, " ");
		put_code(c, json_string_value(v) ? json_string_value(v) : "?");
	}
	json_array_foreach(json_object_get(entry, "parents"), i, v) {
		const char *kind = json_string_value(json_object_get(v, "kind"));
		const char *id = json_string_value(json_object_get(v, "id"));
		put(c, "\n   - from %s ", kind && !strcmp(kind, "model") ? "the model" : "the stream");
		put_code(c, id ? id : "?");
	}
	put(c, "\n");
}

/* The chain of the stream's header, and this run. */
static void put_provenance(struct card *c, const struct ft_model *m)
{
	struct ft_reader *r = ft_model_reader(m);
	size_t i, n = 0;
	json_t *entry;
	put(c, "\n## Provenance\n\nEach step, oldest first, with the digests of what it was made from.\n\n");
	if (r)
		json_array_foreach((json_t *)(uintptr_t)ft_reader_log(r), i, entry)
			put_entry(c, ++n, entry);
	if (ft_invocation())
		put_entry(c, ++n, ft_invocation());
	const char *digest = r ? json_string_value(json_object_get(ft_reader_end(r), "digest")) : NULL;
	if (digest) {
		put(c, "\nThe exported model is the stream with the digest ");
		put_code(c, digest);
		put(c, ".\n");
	}
}

int card_write(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	struct card c = { 0 };
	struct ft_outfile *out = NULL;
	char *modules = ft_format("%s/modules.json", dir);
	char *adapter = ft_format("%s/adapter_config.json", dir);
	c.rc = modules && adapter ? FT_OK : FT_EFAIL;
	c.sentences = modules && access(modules, F_OK) == 0;
	c.adapter = adapter && access(adapter, F_OK) == 0;
	free(modules);
	free(adapter);
	put(&c, "---\nlibrary_name: %s\npipeline_tag: %s\ntags:\n- ft\n---\n",
	    c.adapter ? "peft" : c.sentences ? "sentence-transformers" : "transformers",
	    c.sentences ? "sentence-similarity" : uses[use_of(ft_model_task(m))].pipeline);
	put_facts(&c, m, dtype);
	put_untrained(&c, m);
	put_labels(&c, m);
	put_results(&c, m);
	put_use(&c, m);
	put_provenance(&c, m);
	char *path = ft_format("%s/README.md", dir);
	int rc = c.rc < 0 || !path ? ft_last_error() : FT_OK;
	if (rc == FT_OK)
		rc = (out = ft_outfile_open(path)) ? FT_OK : ft_last_error();
	if (rc == FT_OK)
		rc = ft_write_all(ft_outfile_fd(out), c.text.data, c.text.len, path);
	if (rc == FT_OK)
		rc = ft_outfile_commit(out);
	ft_outfile_free(out);
	ft_buf_free(&c.text);
	free(path);
	return rc;
}

/* Fuzzes the readers of data: TSV, CSV, JSONL, CoNLL, lines, whole files, compressed files and
 * archives. The first byte of an input says which format is asked for and how (see FORMAT and its
 * like), the rest is the file. What is read must be as text.h says; what is not, refused with file
 * and reason. */
#include "ft/err.h"
#include "ft/text.h"
#include "ft/words.h"
#include "tests/fuzz/harness.h"

#include <string.h>

/* Of the first byte, which may well be a letter. */
#define FORMAT(byte) ((enum ft_text_format)((byte) % 8 % 7))
#define HEADER(byte) ((byte) / 8 % 4 - 1 > 1 ? -1 : (byte) / 8 % 4 - 1)
#define TASK(byte) ((byte) / 32 % 4)
#define PROMPTS(byte) (TASK(byte) == 1) /* as for language models */

#define MAX_LINE 4096

static int64_t sum; /* of all that is handed out, so that all of it is read */

static void check_span(struct ft_span s)
{
	must(s.p || !s.n);
	for (size_t i = 0; i < s.n; i++) {
		must(s.p[i]);
		sum += s.p[i];
	}
}

static void check_row(const struct ft_row *r, const struct ft_text_options *o)
{
	check_span(r->text);
	check_span(r->pair);
	check_span(r->label);
	check_span(r->src);
	must(r->src.n > 2 && memrchr(r->src.p, ':', r->src.n));
	must(r->text.n <= MAX_LINE && r->pair.n <= MAX_LINE && (r->words || r->text.p));
	must(!r->pair.p || o->pair || o->prompts);
	must(!r->choices || (json_array_size(r->choices) > 1 && r->right < json_array_size(r->choices)));
	for (size_t i = 0; i < json_array_size(r->choices); i++)
		must(json_string_length(json_array_get(r->choices, i)) > 0);
	for (size_t i = 0; i < r->nwords; i++) {
		must(r->words[i].n > 0);
		check_span(r->words[i]);
		if (r->tags)
			check_span(r->tags[i]);
		must(!r->lines || r->lines[i] > 0);
	}
}

/* Words and labels, as ft-tokenize reads them; whether they are right. */
static bool check_labels(const struct ft_row *r, struct ft_labels *l, struct ft_arena *a, bool words)
{
	struct ft_words w;
	int32_t index = -1;
	float targets[2];
	int rc = words ? ft_words_read(r, l, a, &w) : r->words ? FT_OK : ft_labels_read(l, r, &index, targets);
	must(rc == FT_OK || (rc == FT_EFORMAT && *ft_message()));
	for (size_t i = 0; words && rc == FT_OK && i < w.n; i++)
		must(w.word[i].n > 0 && w.tag && w.tag[i] >= 0 && w.tag[i] < 2);
	ft_arena_reset(a);
	return rc == FT_OK;
}

/* Rows with wrong labels before no more are read. A few bytes can be unpacked to many, each of which makes a message. */
#define WRONG_MOST 10000

static void read_all(struct ft_text *t, const struct ft_text_options *o, struct ft_labels *l)
{
	struct ft_arena a = { 0 };
	struct ft_row r;
	int rc, wrong = 0;
	while ((rc = ft_text_next(t, &r)) > 0) {
		check_row(&r, o);
		if (wrong < WRONG_MOST && !check_labels(&r, l, &a, o->words))
			wrong++;
	}
	must(rc == 0 || *ft_message());
	json_t *inputs = ft_text_inputs(t);
	must(json_is_array(inputs) && (rc < 0 || json_array_size(inputs) > 0));
	json_decref(inputs);
	ft_arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum ft_task tasks[] = { FT_TASK_CLASSIFY, FT_TASK_MULTILABEL, FT_TASK_REGRESS, FT_TASK_TAG };
	if (!*harness_folder)
		harness_make_folder();
	if (!size)
		return 0;
	harness_put("text", data + 1, size - 1);
	enum ft_task task = tasks[TASK(*data)];
	struct ft_text_options o = {
		.format = FORMAT(*data), .header = HEADER(*data), .max_line = MAX_LINE, .words = task == FT_TASK_TAG,
		.prompts = PROMPTS(*data),
		.pair = *data & 128 ? "3" : NULL,
	};
	json_t *names = json_pack("[s,s]", "O", "B");
	struct ft_labels *l = ft_labels_new(task, names, 2);
	struct ft_text *t = ft_text_open(harness_path("text"), &o);
	must(l);
	if (t)
		read_all(t, &o, l);
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_text_close(t);
	ft_labels_free(l);
	json_decref(names);
	return 0;
}

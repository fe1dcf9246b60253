/* Memory that runs out while rows are read, encoded and their labels found: of all calls that lead to an allocation each
 * fails once, which is said. Run from the repository's root. */
#include "ft/encode.h"
#include "ft/err.h"
#include "ft/thread.h"
#include "tests/tap.h"

#ifdef __SANITIZE_ADDRESS__ /* whose allocations are its own */
int main(void)
{
	tap_skip("allocations cannot be made to fail here");
	return tap_done();
}
#else
#include "tests/fault/allocs.c"

#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/"

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100], stream[100];
static struct ft_tok *tok;
static struct ft_chat *chat;

/* ---- what may fail ---- */

/* Again and again, until nothing fails that did not fail before. */
static void check(const char *what, int (*run)(void))
{
	int tries = 0, wrong = run() != FT_OK;
	if (wrong)
		printf("# %s\n", ft_message());
	for (bool again = true; again && !wrong; tries++) {
		ft_json_dropped();
		allocs_fail_new(1);
		int rc = run();
		again = allocs_fail_new(0);
		if (rc < 0 ? !again || rc != FT_EFAIL || !*ft_message() : 0) {
			printf("# %d: %s\n", rc, ft_message());
			wrong++;
		}
	}
	ok(!wrong, "%s: %d tries", what, tries);
}

static struct ft_text_options options;
static int read_rows(void)
{
	struct ft_text *t = ft_text_open(path, &options);
	struct ft_row r;
	int rc = t ? 1 : ft_last_error();
	while (rc > 0)
		rc = ft_text_next(t, &r);
	json_t *inputs = rc == 0 ? ft_text_inputs(t) : NULL;
	if (rc == 0 && !inputs)
		rc = FT_EFAIL;
	json_decref(inputs);
	ft_text_close(t);
	return rc;
}

static struct ft_encode_options how;
static int encode_rows(void)
{
	json_t *meta = json_pack("{s:s}", "task", "lm");
	struct ft_writer *w = meta ? ft_writer_open(stream, "tokens", meta, NULL, 0) : NULL;
	struct ft_encoder *x = w ? ft_encoder_new(&how, w) : NULL;
	struct ft_text *t = x ? ft_text_open(path, &options) : NULL;
	struct ft_row r;
	int rc = t ? 1 : FT_EFAIL;
	while (rc > 0 && (rc = ft_text_next(t, &r)) > 0)
		rc = ft_encoder_add(x, &r) < 0 ? ft_last_error() : 1;
	rc = rc < 0 ? rc : ft_encoder_flush(x);
	rc = rc < 0 ? rc : ft_writer_close(w);
	ft_text_close(t);
	ft_encoder_free(x);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

static int list_labels(void)
{
	json_t *v = ft_label_list("labels", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t");
	struct ft_labels *l = v ? ft_labels_new(FT_TASK_CLASSIFY, v, 0) : NULL;
	int32_t *rest = l ? ft_words_rest(v) : NULL;
	int rc = rest ? FT_OK : FT_EFAIL;
	free(rest);
	ft_labels_free(l);
	json_decref(v);
	return rc;
}

static int name_numbers(void)
{
	struct ft_model *m = ft_model_open(path, NULL, FT_MODEL_BARE);
	json_t *names = m ? ft_names_choose(m, FT_TASK_CLASSIFY, NULL) : NULL;
	int rc = names ? FT_OK : FT_EFAIL;
	json_decref(names);
	ft_model_free(m);
	return rc;
}

/* ---- files ---- */

static void put(const char *name, const char *text, size_t n)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
}

static struct ft_buf text;
static void use_text(const char *name)
{
	put(name, (char *)text.data, text.len);
	text.len = 0;
}

static void letters(char c, size_t n)
{
	if (ft_buf_reserve(&text, n) == FT_OK)
		memset(text.data + text.len, c, n);
	text.len += n;
}

/* A tar archive of as many files of one line. */
static void make_tar(int files)
{
	for (int i = 0; i < files; i++) {
		char header[512] = "", data[512] = "a line\n";
		unsigned sum = 0;
		snprintf(header, 100, "file%d.txt", i);
		memcpy(header + 100, "0000644\0" "0000000\0" "0000000\0" "00000000007\0" "00000000000\0" "        0", 57);
		memcpy(header + 257, "ustar\0" "00", 8);
		for (size_t k = 0; k < sizeof header; k++)
			sum += (unsigned char)header[k];
		snprintf(header + 148, 8, "%06o", sum);
		ft_buf_append(&text, header, sizeof header);
		ft_buf_append(&text, data, sizeof data);
	}
	letters('\0', 1024);
	use_text("many.tar");
}

static void reading(void)
{
	check("labels", list_labels);
	make_tar(20);
	check("an archive of many files", read_rows);
	unlink(path);
	for (int i = 0; i < 40; i++)
		ft_buf_printf(&text, "\"a\n%d\",b%s", i, i % 8 ? "," : ",c\n");
	use_text("a.csv");
	options = (struct ft_text_options){ .format = FT_TEXT_FILE };
	check("a file", read_rows);
	options = (struct ft_text_options){ .header = -1, .words = true };
	unlink(path);
	for (int i = 0; i < 200; i++)
		ft_buf_printf(&text, i % 50 ? "word%d x O\n" : "\nword%d x O\n", i);
	use_text("a.conll");
	check("words in columns", read_rows);
	how = (struct ft_encode_options){ .tok = tok, .task = FT_TASK_TAG, .limit = { .max = 1000 } };
	check("their tokens", encode_rows);
	unlink(path);
}

static void encoding(void)
{
	options = (struct ft_text_options){ .header = -1, .pair = "p", .negative = "n" };
	for (int i = 1; i < 8; i++) {
		ft_buf_printf(&text, "{\"text\":\"a\",\"p\":\"");
		letters('b', i % 2 ? 1 : 90000);
		ft_buf_printf(&text, "\",\"n\":\"");
		letters('c', i % 2 ? 90000 : 1);
		ft_buf_printf(&text, "\"}\n");
	}
	use_text("a.jsonl");
	how = (struct ft_encode_options){ .tok = tok, .task = FT_TASK_EMBED, .limit = { .max = 16, .policy = FT_TOK_TRUNCATE } };
	check("three texts", encode_rows);
	unlink(path);
	options = (struct ft_text_options){ .header = -1, .prompts = true };
	for (int i = 0; i < 3; i++) {
		ft_buf_printf(&text, "{\"prompt\":\"a\",\"chosen\":\"");
		letters('b', 90000);
		ft_buf_printf(&text, "\",\"rejected\":\"c\"}\n");
	}
	use_text("a.jsonl");
	how = (struct ft_encode_options){ .tok = tok, .task = FT_TASK_LM, .limit = { .max = 16, .policy = FT_TOK_TRUNCATE } };
	check("a text that is preferred", encode_rows);
	unlink(path);
	for (int k = 0; k < 2; k++) {
		ft_buf_printf(&text, "%s[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}", k ? "\n" : "");
		for (int i = 0; i < 40; i++)
			ft_buf_printf(&text, ",{\"role\":\"%s\",\"content\":\"c%d\"}", i % 3 ? "user" : "assistant", i);
		ft_buf_printf(&text, "]");
	}
	use_text("a.jsonl");
	how = (struct ft_encode_options){ .tok = tok, .task = FT_TASK_LM, .limit = { .max = 100000 }, .chat = chat };
	check("conversations of many turns", encode_rows);
	unlink(path);
	ft_buf_printf(&text, "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":[");
	for (int i = 0; i < 20; i++)
		ft_buf_printf(&text, "%s{\"role\":\"assistant\",\"content\":\"b\"}", i ? "," : "");
	ft_buf_printf(&text, "],\"rejected\":[{\"role\":\"assistant\",\"content\":\"c\"}]}\n");
	use_text("a.jsonl");
	check("one that is preferred", encode_rows);
	unlink(path);
}

/* A classifier whose classes have no names. */
static void naming(void)
{
	json_t *config = json_load_file(REF "tiny-bert-classify/config.json", 0, NULL);
	char weights[200], to[200];
	json_object_del(config, "id2label");
	json_object_del(config, "label2id");
	json_object_set_new(config, "num_labels", json_integer(2));
	snprintf(path, sizeof path, "%s/model", folder);
	mkdir(path, 0700);
	snprintf(to, sizeof to, "%s/config.json", path);
	json_dump_file(config, to, 0);
	json_decref(config);
	snprintf(weights, sizeof weights, "%s/model.safetensors", path);
	char *own = realpath(REF "tiny-bert-classify/model.safetensors", NULL);
	if (own && symlink(own, weights) == 0)
		check("numbers for names", name_numbers);
	free(own);
	unlink(weights);
	unlink(to);
	rmdir(path);
}

int main(void)
{
	static const char template[] = "{% for m in messages %}{{ m.role }} {{ m.content }}\n{% endfor %}";
	if (!mkdtemp(folder))
		return 1;
	ft_threads_set(1);
	tok = ft_tok_open(REF "dialogues");
	put("chat_template.jinja", template, strlen(template));
	chat = ft_chat_of_dir(folder);
	unlink(path);
	snprintf(stream, sizeof stream, "%s/out.tok", folder);
	if (ok(tok && chat, "a tokenizer and a template")) {
		reading();
		encoding();
		naming();
	}
	ft_chat_free(chat);
	ft_tok_free(tok);
	ft_buf_free(&text);
	unlink(stream);
	rmdir(folder);
	return tap_done();
}
#endif

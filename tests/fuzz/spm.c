/* Fuzzes SentencePiece models: behind a byte that says whose tokenizer_config.json
 * stands beside it, a .model. What opens encodes within bounds, decodes and is described. */
#include "ft/err.h"
#include "ft/tok.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], model[128], config[128];

static void remove_folder(void)
{
	unlink(model);
	unlink(config);
	rmdir(folder);
}

static void make_folder(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(folder, sizeof folder, "%s/ft-fuzz.XXXXXX", base);
	must(mkdtemp(folder));
	atexit(remove_folder);
	snprintf(model, sizeof model, "%s/tokenizer.model", folder);
	snprintf(config, sizeof config, "%s/tokenizer_config.json", folder);
}

static void put(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	must(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

static void use(const struct ft_tok *t)
{
	static const char text[] = "  Alice the Queen---ab <sep> </s>\t\xc3\xa9 e\xcc\x81\xef\xac\x81"
				   " \xe2\x96\x81\xf0\x9f\x98\x80\r\n\xff";
	struct ft_tok_text x = { 0 };
	struct ft_buf b = { 0 };
	int rc = ft_tok_encode(t, text, sizeof text - 1, 0, &x);
	must(rc == FT_OK || *ft_message());
	for (size_t i = 0; i < x.n; i++)
		must(x.ids[i] >= 0 && (size_t)x.ids[i] < ft_tok_size(t) && x.begin[i] <= x.end[i] && x.end[i] < sizeof text);
	must(ft_tok_decode(t, x.ids, x.n, false, &b) == FT_OK || *ft_message());
	json_t *d = ft_tok_describe(t);
	must(d);
	json_decref(d);
	ft_buf_free(&b);
	ft_tok_text_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const configs[] = {
		"{}", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":2}", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}",
		"{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false,\"add_eos_token\":true}",
		"{\"tokenizer_class\":\"AlbertTokenizer\"}", "{\"tokenizer_class\":\"DebertaV2Tokenizer\",\"split_by_punct\":true}",
	};
	if (!*folder)
		make_folder();
	const char *text = configs[size ? data[0] % (sizeof configs / sizeof *configs) : 0];
	put(config, text, strlen(text));
	put(model, data + (size > 0), size - (size > 0));
	struct ft_tok *t = ft_tok_open(folder);
	if (t)
		use(t);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_tok_free(t);
	return 0;
}

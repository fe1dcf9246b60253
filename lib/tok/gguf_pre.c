/* gguf_pre.c - the names of pre-tokenizers in GGUF files: the regular expressions that
 * the models' own tokenizer.json have, as llama.cpp lists them (src/llama-vocab.cpp).
 */
#include "gguf_pre.h"
#include "ft/err.h"

#include <string.h>

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define SYMBOLS(more) "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n" more "]*"
#define BLANKS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" SYMBOLS("") BLANKS
#define QWEN2 CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" SYMBOLS("") BLANKS
#define QWEN35 \
	CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" BLANKS
#define SEED CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" BLANKS
#define BAILING \
	"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*" \
	"|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(behind) \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" behind "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" behind
#define TEKKEN CASED("") "|\\p{N}" SYMBOLS("/") BLANKS
#define GPT4O CASED(CONTRACTION "?") "|\\p{N}{1,3}" SYMBOLS("/") BLANKS
#define DEEPSEEK3 \
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
	"| ?[\\p{P}\\p{S}]+[\\r\\n]*" BLANKS
#define EAST "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

enum { IGNORE_MERGES = 1, BOS = 2, NFC = 4, SEP = 8 };
static const struct {
	const char *names;    /* each with a space behind it; the first is the one that is written */
	const char *regex[4]; /* one after the other */
	unsigned flags;
} known[] = {
	{ "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt olmo jais"
	  " trillion granite-docling exaone4 ", { GPT2 }, 0 },
	{ "roberta-bpe jina-v1-en jina-v2-code ", { GPT2 }, SEP },
	{ "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ", { LLAMA3 },
	  IGNORE_MERGES | BOS },
	{ "dbrx smaug-bpe glm4 chatglm-bpe ", { LLAMA3 }, 0 },
	{ "qwen2 ", { QWEN2 }, NFC },
	{ "deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2 ", { QWEN2 }, 0 },
	{ "qwen35 ", { QWEN35 }, NFC },
	{ "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 ", { "\\p{N}", GPT2 }, 0 },
	{ "tekken ", { TEKKEN }, IGNORE_MERGES | BOS },
	{ "gpt-4o llama4 kanana2 talkie minimax-m2 ", { GPT4O }, 0 },
	{ "deepseek-v3 hunyuan-dense joyai-llm hy_v4 ", { "\\p{N}{1,3}", EAST, DEEPSEEK3 }, 0 },
	{ "seed-coder ", { SEED }, 0 },
	{ "bailingmoe bailingmoe2 llada-moe ", { BAILING }, 0 },
	{ "falcon ", { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]" }, 0 },
	{ "default ", { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, 0 },
};
#define KNOWN (sizeof known / sizeof *known)

static size_t find(const char *name)
{
	size_t n = strlen(name), i = 0;
	for (; i < KNOWN && n; i++)
		for (const char *p = known[i].names; (p = strstr(p, name)); p += n)
			if ((p == known[i].names || p[-1] == ' ') && p[n] == ' ')
				return i;
	return KNOWN;
}

static json_t *splitter(const char *const regex[4])
{
	json_t *list = json_array();
	int bad = !list;
	for (int i = 0; i < 4 && regex[i]; i++)
		bad |= json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern",
		                                             "Regex", regex[i], "behavior", "Isolated", "invert", 0));
	bad |= json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
	                                             "trim_offsets", 0, "use_regex", 0));
	json_t *v = bad ? NULL : json_pack("{s:s, s:O}", "type", "Sequence", "pretokenizers", list);
	json_decref(list);
	return v;
}

int tok_gguf_pre(struct tok_gguf_pre *p, const char *name)
{
	size_t i = find(name);
	if (i == KNOWN)
		return ft_fail(FT_EFORMAT, "tokenizer.ggml.pre '%s' is not supported", name);
	bool nfc = known[i].flags & NFC;
	*p = (struct tok_gguf_pre){ .splitter = splitter(known[i].regex),
		                    .normalizer = nfc ? json_pack("{s:s}", "type", "NFC") : NULL,
		                    .ignore_merges = known[i].flags & IGNORE_MERGES,
		                    .bos = known[i].flags & BOS, .sep = known[i].flags & SEP };
	if (p->splitter && !p->normalizer == !nfc)
		return FT_OK;
	json_decref(p->splitter);
	json_decref(p->normalizer);
	return ft_fail(FT_EFAIL, "out of memory");
}

/* ---- the other way ---- */

/* The steps of a pre-tokenizer as regular expressions. */
struct steps {
	const char *regex[4];
	int n;
	bool other; /* there is one that has no such form */
};

static void add_step(struct steps *s, const char *regex)
{
	if (!regex || s->n == 4)
		s->other = true;
	else
		s->regex[s->n++] = regex;
}

static void read_steps(struct steps *s, const json_t *v)
{
	int err = FT_OK;
	const char *type = ft_json_str(v, "type", "", &err), *behavior = ft_json_str(v, "behavior", "Isolated", &err);
	size_t i;
	json_t *part;
	if (strcmp(type, "Sequence") == 0) {
		json_array_foreach(json_object_get(v, "pretokenizers"), i, part)
			read_steps(s, part);
	} else if (strcmp(type, "Split") == 0) {
		bool whole = strcmp(behavior, "Isolated") != 0 || ft_json_bool(v, "invert", false, &err);
		add_step(s, whole ? NULL : json_string_value(json_object_get(json_object_get(v, "pattern"), "Regex")));
	} else if (strcmp(type, "Digits") == 0) {
		add_step(s, ft_json_bool(v, "individual_digits", false, &err) ? "\\p{N}" : NULL);
	} else if (strcmp(type, "ByteLevel") == 0 && !ft_json_bool(v, "add_prefix_space", true, &err)) {
		if (ft_json_bool(v, "use_regex", true, &err))
			add_step(s, GPT2);
	} else {
		s->other = true;
	}
	s->other = s->other || err < 0;
}

/* Equal, but for a last alternative that takes the blanks that are left over: they are a
 * piece of their own anyway. */
static bool same_regex(const char *a, const char *b)
{
	static const char last[] = "|\\s+(?!\\S)|\\s+";
	size_t n = strlen(a), m = strlen(b), k = sizeof last - 1;
	if (n > k && strcmp(a + n - k, last) == 0)
		n -= 4;
	if (m > k && strcmp(b + m - k, last) == 0)
		m -= 4;
	return n == m && memcmp(a, b, n) == 0;
}

static bool fits(size_t i, const struct steps *s, unsigned flags)
{
	int n = 0;
	while (n < 4 && known[i].regex[n])
		n++;
	if (n != s->n || (known[i].flags & ~(unsigned)BOS) != flags)
		return false;
	for (int k = 0; k < n; k++)
		if (!same_regex(known[i].regex[k], s->regex[k]))
			return false;
	return true;
}

struct ft_span tok_gguf_pre_of(const json_t *root)
{
	struct steps s = { 0 };
	const json_t *normalizer = json_object_get(root, "normalizer");
	bool nfc = json_is_object(normalizer);
	unsigned flags = nfc ? NFC : 0;
	if (json_is_true(json_object_get(json_object_get(root, "model"), "ignore_merges")))
		flags |= IGNORE_MERGES;
	read_steps(&s, json_object_get(root, "pre_tokenizer"));
	if (s.other || (nfc && strcmp(ft_json_str(normalizer, "type", "", NULL), "NFC") != 0))
		return (struct ft_span){ 0 };
	for (size_t i = 0; i < KNOWN; i++)
		if (fits(i, &s, flags))
			return (struct ft_span){ known[i].names, strcspn(known[i].names, " ") };
	return (struct ft_span){ 0 };
}

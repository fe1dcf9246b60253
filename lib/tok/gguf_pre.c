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
	const char *names;    /* each with a space behind it */
	const char *regex[4]; /* one after the other */
	unsigned flags;
} known[] = {
	{ "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt olmo jais"
	  " trillion granite-docling exaone4 ", { GPT2 }, 0 },
	{ "roberta-bpe jina-v1-en jina-v2-code ", { GPT2 }, SEP },
	{ "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ", { LLAMA3 },
	  IGNORE_MERGES | BOS },
	{ "dbrx smaug-bpe glm4 chatglm-bpe ", { LLAMA3 }, 0 },
	{ "qwen2 ", { QWEN2 }, NFC },
	{ "deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2 ", { QWEN2 }, 0 },
	{ "qwen35 ", { QWEN35 }, NFC },
	{ "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2 ", { "\\p{N}", GPT2 }, 0 },
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
	*p = (struct tok_gguf_pre){ .splitter = splitter(known[i].regex),
		                    .ignore_merges = known[i].flags & IGNORE_MERGES,
		                    .bos = known[i].flags & BOS, .sep = known[i].flags & SEP };
	if (known[i].flags & NFC)
		p->normalizer = json_pack("{s:s}", "type", "NFC");
	return p->splitter ? FT_OK : ft_fail(FT_EFAIL, "out of memory");
}

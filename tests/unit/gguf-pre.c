/* The names of pre-tokenizers in GGUF files, both ways. Run from the repository's root. */
#include "ft/err.h"
#include "lib/tok/gguf_pre.h"
#include "tests/tap.h"

#include <stdlib.h>

/* ---- from a name ---- */

/* "NFC ignore_merges bos sep STAGES", of those that there are; or "!" and what is wrong. */
static const char *meaning(const char *name)
{
	static char out[100];
	struct tok_gguf_pre p = { 0 };
	if (tok_gguf_pre(&p, name) < 0)
		snprintf(out, sizeof out, "!%s", ft_message());
	else
		snprintf(out, sizeof out, "%s%s%s%s%zu", p.normalizer ? "NFC " : "", p.ignore_merges ? "ignore_merges " : "",
		         p.bos ? "bos " : "", p.sep ? "sep " : "", json_array_size(json_object_get(p.splitter, "pretokenizers")));
	json_decref(p.normalizer);
	json_decref(p.splitter);
	return out;
}

static void check_names(void)
{
	is_str(meaning("gpt-2"), "2", "the first of a list");
	is_str(meaning("exaone4"), "2", "the last");
	is_str(meaning("llama3"), "ignore_merges bos 2", "one between");
	is_str(meaning("exaone"), "3", "one that begins another");
	is_str(meaning("hunyuan-dense"), "4", "one that another begins");
	is_str(meaning("roberta-bpe"), "sep 2", "one whose pairs have a token more between them");
	is_str(meaning("qwen2"), "NFC 2", "one with a normal form");
	is_str(meaning("default"), "5", "four patterns, and bytes");
	static const char *const none[] = { "", "gpt", "pt-2", "bpe", "llama", " ", "gpt-2 " };
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		char want[100];
		snprintf(want, sizeof want, "!tokenizer.ggml.pre '%s' is not supported", none[i]);
		is_str(meaning(none[i]), want, "no name");
	}
}

/* ---- to a name ---- */

static void check(const char *what, const char *root, const char *want)
{
	json_t *v = json_loads(root, 0, NULL);
	struct ft_span name = tok_gguf_pre_of(v);
	char got[40];
	snprintf(got, sizeof got, "%.*s", (int)name.n, name.n ? name.p : "");
	ok(v && strcmp(got, want) == 0, "%s: '%s', wanted '%s'", what, got, want);
	json_decref(v);
}

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)"
#define SPLIT(pattern, more) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"}" more "}"
#define LEVEL(options) "{\"type\":\"ByteLevel\"" options "}"
#define LAST LEVEL(",\"add_prefix_space\":false,\"use_regex\":false")
#define LIST(stages) "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" stages "]}}"
#define ALONE(stage, more) "{\"pre_tokenizer\":" stage more "}"

static void check_stages(void)
{
	check("ByteLevel", ALONE(LEVEL(",\"add_prefix_space\":false"), ""), "gpt-2");
	check("a pattern that is ByteLevel's", LIST(SPLIT(GPT2, "") "," LAST), "gpt-2");
	check("with what is left over", LIST(SPLIT(GPT2 "|\\\\s+", "") "," LAST), "gpt-2");
	check("and what is not", LIST(SPLIT(GPT2 "|x", "") "," LAST), "");
	check("digits before it", LIST("{\"type\":\"Digits\",\"individual_digits\":true}," LEVEL(",\"add_prefix_space\":false")), "smollm");
	check("runs of them", LIST("{\"type\":\"Digits\",\"individual_digits\":false}," LEVEL(",\"add_prefix_space\":false")), "");
	check("in one another", LIST("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(GPT2, "") "]}," LAST), "gpt-2");
	check("a space before the text", ALONE(LEVEL(""), ""), "");
	check("matches that are removed", LIST(SPLIT(GPT2, ",\"behavior\":\"Removed\"") "," LAST), "");
	check("what does not match", LIST(SPLIT(GPT2, ",\"invert\":true") "," LAST), "");
	check("a text for a pattern", LIST("{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}," LAST), "");
	check("a flag that is none", LIST(SPLIT(GPT2, ",\"invert\":7") "," LAST), "");
	check("a behavior that is none", LIST(SPLIT(GPT2, ",\"behavior\":7") "," LAST), "");
	check("a type that is none", ALONE("{\"type\":7}", ""), "");
	check("another stage", LIST("{\"type\":\"Whitespace\"}," LAST), "");
	check("no stage", "{}", "");
	check("five patterns", LIST(SPLIT("a", "") "," SPLIT("a", "") "," SPLIT("a", "") "," SPLIT("a", "") "," SPLIT("a", "") "," LAST), "");
	check("four that are not known", LIST(SPLIT("a", "") "," SPLIT("a", "") "," SPLIT("a", "") "," SPLIT("a", "") "," LAST), "");
}

/* What a name means is called by the first of those that mean it. */
static void check_back(void)
{
	static const char *const names[] = { "gpt-2", "dbrx", "qwen2", "deepseek-r1-qwen", "qwen35", "smollm", "gpt-4o", "deepseek-v3",
	                                     "seed-coder", "bailingmoe", "falcon", "default", "llama-bpe", "tekken" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tok_gguf_pre p;
		if (tok_gguf_pre(&p, names[i]) < 0)
			continue;
		json_t *root = json_pack("{s:o, s:o*, s:{s:b}}", "pre_tokenizer", p.splitter, "normalizer", p.normalizer, "model",
		                         "ignore_merges", p.ignore_merges);
		struct ft_span name = tok_gguf_pre_of(root);
		ok(name.n == strlen(names[i]) && memcmp(name.p, names[i], name.n) == 0, "%s and back", names[i]);
		json_decref(root);
	}
	check("another normal form", ALONE(LEVEL(",\"add_prefix_space\":false"), ",\"normalizer\":{\"type\":\"NFD\"}"), "");
	check("one that nothing has", ALONE(LEVEL(",\"add_prefix_space\":false"), ",\"normalizer\":{\"type\":\"NFC\"}"), "");
	check("no normal form", ALONE(LEVEL(",\"add_prefix_space\":false"), ",\"normalizer\":null"), "gpt-2");
}

int main(void)
{
	check_names();
	check_stages();
	check_back();
	return tap_done();
}

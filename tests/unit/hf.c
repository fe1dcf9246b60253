/* Hugging Face folders: one file, shards, what is missing or contradicts. */
#include "ft/format.h"
#include "ft/mem.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[2][256];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "wb");
	fputs(text, f);
	fclose(f);
}

static void put_tensors(const char *name, const char *const *tensor, size_t n)
{
	struct ft_stored t[8];
	for (size_t i = 0; i < n; i++)
		t[i] = (struct ft_stored){ tensor[i], FT_F32, 1, { 1 }, "abcdefgh" + i, 4, false };
	ft_safetensors_write(in_folder(name), t, n);
}

static void clear(void)
{
	static const char *const names[] = {
		"config.json",     "model.safetensors", "model.safetensors.index.json",
		"m-1.safetensors", "m-2.safetensors",   "pytorch_model.bin"
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(in_folder(names[i]));
}

static void refused(const char *what, unsigned flags, int code, const char *reason)
{
	struct ft_base *h = ft_base_open(folder, flags);
	if (!ok(!h && ft_last_error() == code && !strncmp(ft_message(), folder, strlen(folder)) &&
	                strstr(ft_message(), reason),
	        "%s", what))
		printf("# wanted: %s\n", reason);
	ft_base_close(h);
}

static void digest_of(char hex[33], const char *const *names, size_t n)
{
	struct ft_digest *d = ft_digest_new();
	for (size_t i = 0; i < n; i++) {
		char bytes[4096];
		FILE *f = fopen(in_folder(names[i]), "rb");
		ft_digest_add(d, bytes, fread(bytes, 1, sizeof bytes, f));
		fclose(f);
	}
	ft_digest_hex(d, hex);
	ft_digest_free(d);
}

static void test_single(void)
{
	static const char *const names[] = { "a", "b" }, *const files[] = { "config.json",
	                                                                    "model.safetensors" };
	char want[33];
	put("config.json", "{\"model_type\": \"bert\"}\n");
	put_tensors("model.safetensors", names, 2);
	struct ft_base *h = ft_base_open(folder, 0);
	ok(h && ft_base_count(h) == 2 && ft_base_find(h, "b") && !ft_base_find(h, "c"), "one weight file");
	if (!h)
		return;
	is_str(ft_base_at(h, 0)->name, "a", "tensors by number");
	ok(!ft_base_at(h, 2), "and none behind the last");
	is_str(json_string_value(json_object_get(ft_base_config(h), "model_type")), "bert", "config");
	digest_of(want, files, 2);
	is_str(ft_base_digest(h), want, "the digest is that of the two files end to end");
	is_str(ft_base_digest(h), want, "as often as it is asked for");
	/* A file replaced behind an open folder's back: the digest is of what was opened. */
	put_tensors("model.safetensors", names, 1);
	ok(ft_base_count(h) == 2 && ft_base_at(h, 1), "a replaced file does not disturb an open folder");
	ft_base_close(h);

	h = ft_base_open(folder, FT_BASE_BARE);
	digest_of(want, files, 2);
	ok(h && ft_base_count(h) == 0 && !ft_base_find(h, "a"), "a bare folder shows no tensors");
	is_str(h ? ft_base_digest(h) : NULL, want, "and has the same digest");
	ft_base_close(h);
	unlink(in_folder("model.safetensors"));
	h = ft_base_open(folder, FT_BASE_BARE);
	digest_of(want, files, 1);
	is_str(h ? ft_base_digest(h) : NULL, want, "without weights, of the config alone");
	ft_base_close(h);

	char slash[64];
	put_tensors("model.safetensors", names, 1);
	snprintf(slash, sizeof slash, "%s/", folder);
	h = ft_base_open(slash, 0);
	ok(h != NULL, "a slash at the end");
	ft_base_close(h);
	clear();
}

static void test_missing(void)
{
	refused("no config.json", 0, FT_EFAIL, "config.json: No such file");
	put("config.json", "{}");
	refused("no weights", 0, FT_EFAIL,
	        "no weights: neither model.safetensors nor model.safetensors.index.json");
	put("pytorch_model.bin", "PK");
	refused("weights in a pickle only", 0, FT_EFAIL, "pytorch_model.bin, a pickle, which is not read");
	put("model.safetensors", "PK");
	refused("weights that are no safetensors", 0, FT_EFORMAT, "model.safetensors: 2 bytes");
	put("config.json", "[]");
	refused("a config that is an array", 0, FT_EFORMAT, "config.json: not a JSON object");
	put("config.json", "{\"a\": 1, \"a\": 2}");
	refused("a config with a key twice", FT_BASE_BARE, FT_EFORMAT, "config.json: duplicate");
	put("config.json", "");
	refused("an empty config", 0, FT_EFORMAT, "config.json: ");
	clear();
	ok(!ft_base_open(in_folder("nothing"), 0) && ft_last_error() == FT_EFAIL, "a folder that is not there");
	put("config.json", "{}");
	ok(!ft_base_open(in_folder("config.json"), 0) && strstr(ft_message(), "not a folder"),
	   "a file is no folder");
	clear();
}

#define INDEX "model.safetensors.index.json"
#define MAP(members) "{\"metadata\":{\"total_size\":12},\"weight_map\":{" members "}}"

static void test_shards(void)
{
	static const char *const one[] = { "a", "c" }, *const two[] = { "b" },
				 *const files[] = { "config.json", "m-1.safetensors", "m-2.safetensors" };
	char want[33];
	put("config.json", "{}");
	put_tensors("m-2.safetensors", one, 2);
	put_tensors("m-1.safetensors", two, 1);
	put(INDEX, MAP("\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\""));
	struct ft_base *h = ft_base_open(folder, 0);
	ok(h && ft_base_count(h) == 3 && ft_base_find(h, "a") && ft_base_find(h, "b") && ft_base_find(h, "c"),
	   "two shards");
	ok(h && !strcmp(ft_base_at(h, 0)->name, "b") && !strcmp(ft_base_at(h, 1)->name, "a") && !ft_base_at(h, 3),
	   "files in the order of their names");
	digest_of(want, files, 3);
	is_str(h ? ft_base_digest(h) : NULL, want, "digest of config and shards, by name");
	ft_base_close(h);
	h = ft_base_open(folder, FT_BASE_BARE);
	is_str(h ? ft_base_digest(h) : NULL, want, "the same, bare");
	ft_base_close(h);

	put_tensors("model.safetensors", two, 1);
	h = ft_base_open(folder, 0);
	ok(h && ft_base_count(h) == 1, "model.safetensors comes before an index");
	ft_base_close(h);
	unlink(in_folder("model.safetensors"));

	static const struct {
		const char *what, *index, *reason;
	} bad[] = {
		{ "an index that is no object", "[]", INDEX ": not a JSON object" },
		{ "an index without a map", "{}", "weight_map is not an object" },
		{ "an index with an empty map", MAP(""), "weight_map is empty" },
		{ "a shard that is a number", MAP("\"a\":1"), "'a': not a string" },
		{ "a shard outside of the folder", MAP("\"a\":\"../x\""),
		  "'../x' is not the name of a file in the folder" },
		{ "a shard below the folder", MAP("\"a\":\"x/y\""), "is not the name of a file" },
		{ "an absolute path as shard", MAP("\"a\":\"/etc/passwd\""), "is not the name of a file" },
		{ "no name as shard", MAP("\"a\":\"\""), "is not the name of a file" },
		{ "the folder as shard", MAP("\"a\":\".\""), "is not the name of a file" },
		{ "the parent as shard", MAP("\"a\":\"..\""), "is not the name of a file" },
		{ "a shard with a NUL", MAP("\"a\":\"m-1.safetensors\\u0000x\""),
		  "is not the name of a file" },
		{ "a tensor twice in the map", MAP("\"a\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\""),
		  "duplicate" },
		{ "a tensor in another shard", MAP("\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\""),
		  "m-1.safetensors: tensor 'b' should be in 'm-2.safetensors'" },
		{ "a tensor that is in no shard",
		  MAP("\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\","
		      "\"d\":\"m-1.safetensors\""),
		  "m-1.safetensors: tensor 'd', which " INDEX " lists, is not there" },
		{ "a tensor that is not in the map",
		  MAP("\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\""),
		  "m-2.safetensors: tensor 'c' is not listed" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put(INDEX, bad[i].index);
		refused(bad[i].what, 0, FT_EFORMAT, bad[i].reason);
	}
	put(INDEX, MAP("\"a\":\"m-3.safetensors\""));
	refused("a shard that is not there", 0, FT_EFAIL, "m-3.safetensors: No such file");
	clear();
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	test_single();
	test_missing();
	test_shards();
	ok(rmdir(folder) == 0, "nothing was left in the folder");
	return tap_done();
}

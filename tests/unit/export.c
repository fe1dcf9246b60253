/* Reading an export back: what ft_export_verify() must notice, and folders that
 * appear whole or not at all. */
#include "ft/format.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[2][128];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

/* Writes the model into the folder "e" anew. */
static const char *export_again(const struct ft_model *m, enum ft_dtype t)
{
	const char *dir = in_folder("e");
	mkdir(dir, 0777);
	if (ft_format_find("hf")->write(m, dir, t) < 0)
		ok(0, "export");
	return dir;
}

/* Replaces `count` bytes at the first `old` of a file of "e", or at its end. */
static void change(const char *name, const char *old, const char *new)
{
	char path[192];
	static char bytes[1 << 20];
	snprintf(path, sizeof path, "%s/e/%s", folder, name);
	FILE *f = fopen(path, "r+b");
	size_t n = fread(bytes, 1, sizeof bytes - 1, f);
	bytes[n] = '\0';
	char *at = old ? memmem(bytes, n, old, strlen(old)) : bytes + n - strlen(new);
	ok(at != NULL, "there is something to change in %s", name);
	fseek(f, at - bytes, SEEK_SET);
	fwrite(new, 1, strlen(new), f);
	fclose(f);
}

static void notices(const char *what, struct ft_model *m, enum ft_dtype t, int code, const char *reason)
{
	struct ft_verified v;
	ok(ft_export_verify(m, ft_format_find("hf"), in_folder("e"), t, &v) == code && strstr(ft_message(), reason), "notices %s",
	   what);
}

static void test_verify(struct ft_model *m)
{
	struct ft_verified v;
	for (int t = FT_F32; t <= FT_BF16; t++) {
		const char *dir = export_again(m, (enum ft_dtype)t);
		is_int(ft_export_verify(m, ft_format_find("hf"), dir, (enum ft_dtype)t, &v), FT_OK,
		       ft_dtype_name((enum ft_dtype)t));
		ok(v.params == ft_model_params(m) && v.rows == 3 && v.tokens == 41 &&
		           (t == FT_F32 ? v.allowed == 0 && v.difference == 0 : v.difference <= v.allowed),
		   "what was compared");
	}
	is_int(ft_export_verify(m, ft_format_find("hf"), in_folder("e"), FT_F32, &v), FT_EFAIL, "rounded weights are not F32's");

	export_again(m, FT_F32);
	change("model.safetensors", NULL, "\x01\x01\x01\x01"); /* of the last tensor by name */
	notices("a changed weight", m, FT_F32, FT_EFAIL, "is not the one it was made of: classifier.weight");
	export_again(m, FT_F32);
	change("model.safetensors", "pooler.dense.bias", "pooler.dense.bios");
	notices("a missing tensor", m, FT_F32, FT_EFAIL,
	        "is not the one it was made of: bert.pooler.dense.bias");
	export_again(m, FT_F32);
	change("config.json", "\"0\": \"bad\"", "\"0\": \"bed\"");
	notices("a changed label", m, FT_F32, FT_EFAIL, "is not the one it was made of: its labels");
	export_again(m, FT_F32);
	change("config.json", "single_label_classification", "multi_label_classification\"");
	notices("a broken configuration", m, FT_F32, FT_EFORMAT, "the exported model cannot be opened: ");
	export_again(m, FT_F32);
	change("config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"");
	notices("another activation, by the outputs", m, FT_F32, FT_EFAIL,
	        "an output of the probe differs by");
	export_again(m, FT_F32);
	change("tokenizer.json", "##a", "##!");
	notices("another tokenizer", m, FT_F32, FT_EMATCH, "its tokenizer has digest");
}

static void test_outdir(void)
{
	char path[64], temporary[128], file[192];
	snprintf(path, sizeof path, "%s/d", folder);
	struct ft_outdir *d = ft_outdir_open(path, NULL, false);
	ok(d && access(path, F_OK) < 0 && access(ft_outdir_path(d), W_OK) == 0, "files go beside the name");
	snprintf(temporary, sizeof temporary, "%s", ft_outdir_path(d));
	snprintf(file, sizeof file, "%s/config.json", temporary);
	fclose(fopen(file, "w"));
	is_int(ft_outdir_commit(d), FT_OK, "commit");
	ft_outdir_free(d);
	ok(access(in_folder("d/config.json"), F_OK) == 0 && access(temporary, F_OK) < 0,
	   "the folder has its name");
	ok(!ft_outdir_open(path, NULL, false) && ft_last_error() == FT_EFAIL, "it is not replaced unasked");
	d = ft_outdir_open(path, NULL, true);
	is_int(d ? ft_outdir_commit(d) : FT_EFAIL, FT_OK, "it is replaced when that is asked");
	ft_outdir_free(d);
	ok(access(in_folder("d/config.json"), F_OK) < 0 && access(path, F_OK) == 0,
	   "with all that was in it");
	d = ft_outdir_open(path, NULL, false);
	if (d)
		snprintf(temporary, sizeof temporary, "%s", ft_outdir_path(d));
	ft_outdir_free(d);
	ok(d && access(temporary, F_OK) < 0 && access(path, F_OK) == 0, "without commit nothing changes");
	rmdir(path);
}

int main(void)
{
	static const char *const left[] = { "e/config.json",    "e/model.safetensors",     "e/README.md",
	                                    "e/tokenizer.json", "e/tokenizer_config.json", "e/vocab.txt" };
	struct ft_model *m = ft_model_open("tests/ref/tiny-bert-classify", NULL, 0);
	if (!ok(m && mkdtemp(folder), "a model to export"))
		return tap_done();
	test_verify(m);
	ft_model_free(m);
	test_outdir();
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		unlink(in_folder(left[i]));
	rmdir(in_folder("e"));
	ok(rmdir(folder) == 0, "nothing else was left in the folder");
	return tap_done();
}

/* Fuzzes what a model folder says of itself: config.json and, behind a NUL byte,
 * model.safetensors.index.json. Weights are not loaded; a description must be
 * made of every config that is accepted. */
#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], config[128], index_file[128], shard[128];

static void remove_folder(void)
{
	unlink(config);
	unlink(index_file);
	unlink(shard);
	rmdir(folder);
}

static void make_folder(void)
{
	/* In memory where there is a place for it. */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(folder, sizeof folder, "%s/ft-fuzz.XXXXXX", base);
	must(mkdtemp(folder));
	atexit(remove_folder);
	snprintf(config, sizeof config, "%s/config.json", folder);
	snprintf(index_file, sizeof index_file, "%s/model.safetensors.index.json", folder);
	snprintf(shard, sizeof shard, "%s/m-1.safetensors", folder);
	struct ft_stored t = { "a", FT_F32, 1, { 1 }, "abcd", 4, false };
	must(ft_safetensors_write(shard, &t, 1) == FT_OK);
}

static void put(const char *path, const uint8_t *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	must(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*folder)
		make_folder();
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	put(config, data, n);
	if (nul)
		put(index_file, nul + 1, size - n - 1);
	else
		unlink(index_file);

	struct ft_base *h = ft_base_open(folder, 0);
	if (h)
		must(ft_base_count(h) == 1 && ft_base_find(h, "a") && ft_base_digest(h));
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_base_close(h);

	struct ft_model *m = ft_model_open(folder, NULL, FT_MODEL_BARE);
	if (m)
		must(ft_model_params(m) > 0 && *ft_model_architecture(m) && ft_model_task(m) <= FT_TASK_LM);
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	return 0;
}

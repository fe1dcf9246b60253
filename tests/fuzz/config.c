/* Fuzzes what a model folder says of itself: config.json and, behind a NUL byte,
 * model.safetensors.index.json. Weights are not loaded; a description must be
 * made of every config that is accepted. */
#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static void write_shard(void)
{
	struct ft_stored t = { "a", FT_F32, 1, { 1 }, "abcd", 4, false };
	must(ft_safetensors_write(harness_path("m-1.safetensors"), &t, 1) == FT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*harness_folder) {
		harness_make_folder();
		write_shard();
	}
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	harness_put("config.json", data, n);
	if (nul)
		harness_put("model.safetensors.index.json", nul + 1, size - n - 1);
	else
		unlink(harness_path("model.safetensors.index.json"));

	struct ft_base *h = ft_base_open(harness_folder, 0);
	if (h)
		must(ft_base_count(h) == 1 && ft_base_find(h, "a") && ft_base_digest(h));
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_base_close(h);

	struct ft_model *m = ft_model_open(harness_folder, NULL, FT_MODEL_BARE);
	if (m)
		must(ft_model_params(m) > 0 && *ft_model_architecture(m) && ft_model_task(m) <= FT_TASK_LM);
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	return 0;
}

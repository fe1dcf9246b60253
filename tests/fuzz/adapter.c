/* Fuzzes folders of adapters as PEFT, mlx-lm and AdapterHub write them, over a base that is sound: behind a byte that
 * says which base, adapter_config.json, a NUL byte, head_config.json, a NUL byte, and the weights; of an adapter with a
 * head how many bytes of these are its own (two, little-endian), and behind them the weights of the head. What opens can
 * be run, merged and written; all else is refused. */
#include "ft/adapter.h"
#include "tests/fuzz/tiny.h"

#define FOLDER "adapter" /* in that of the base */

/* The same tensors under each program's name. */
static void put_weights(const uint8_t *p, size_t n)
{
	static const char *const names[] = { FOLDER "/adapter_model.safetensors", FOLDER "/adapters.safetensors",
		                             FOLDER "/adapter.safetensors" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		harness_put(names[i], p, n);
}

static void put_head(const uint8_t *config, size_t nconfig, const uint8_t *p, size_t n)
{
	size_t own = n < 2 ? 0 : (size_t)(p[0] | p[1] << 8);
	p += n < 2 ? n : 2;
	n -= n < 2 ? n : 2;
	own = own < n ? own : n;
	harness_put(FOLDER "/head_config.json", config, nconfig);
	put_weights(p, own);
	harness_put(FOLDER "/model_head.safetensors", p + own, n - own);
}

static void put_adapter(const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n, *a = n ? memchr(p, 0, n) : NULL, *b = a ? memchr(a + 1, 0, (size_t)(end - a - 1)) : NULL;
	const uint8_t *weights = b ? b + 1 : end;
	harness_put(FOLDER "/adapter_config.json", p, a ? (size_t)(a - p) : n);
	unlink(harness_path(FOLDER "/head_config.json"));
	unlink(harness_path(FOLDER "/model_head.safetensors"));
	if (b && b > a + 1)
		put_head(a + 1, (size_t)(b - a - 1), weights, (size_t)(end - weights));
	else
		put_weights(weights, (size_t)(end - weights));
}

static void use(struct ft_model *m)
{
	tiny_use(m);
	int rc = ft_model_merge(m);
	must(rc == FT_OK || *ft_message());
	if (rc == FT_OK)
		tiny_use(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const configs[2] = { TINY_BERT, TINY_LLAMA };
	static int base = -1;
	if (!*harness_folder) {
		harness_make_folder();
		must(mkdir(harness_path(FOLDER), 0700) == 0);
	}
	if (!size)
		return 0;
	if (base != data[0] % 2)
		tiny_base(configs[base = data[0] % 2]);
	put_adapter(data + 1, size - 1);
	struct ft_model *m = ft_model_open(harness_path(FOLDER), harness_folder, FT_MODEL_BARE);
	bool small = m && tiny_is_small(m);
	must(m || (ft_last_error() < 0 && *ft_message()));
	ft_model_free(m);
	m = small ? ft_model_open(harness_path(FOLDER), harness_folder, 0) : NULL;
	must(m || !small || (ft_last_error() < 0 && *ft_message()));
	if (m)
		use(m);
	ft_model_free(m);
	return 0;
}

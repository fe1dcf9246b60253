/* gguf-lora.c - LoRA as a GGUF file: what llama.cpp's converter writes of the same PEFT folder (tests/ref/gguf/lora).
 * Of a GPT-2 that writes A and B for one another, which llama.cpp does not load: there, shapes are looked at. */
#include "ft/format.h"
#include "ft/gguf.h"
#include "ft/model.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static bool same_shape(const struct ft_gguf_tensor *a, const struct ft_gguf_tensor *b)
{
	return b && a->rank == b->rank && a->type == b->type && a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1];
}

/* The largest difference of an element, relative to the largest. */
static double worst_of(const struct ft_gguf *got, const struct ft_gguf *want)
{
	double worst = 0, most = 0;
	for (size_t i = 0; i < ft_gguf_tensors(want); i++) {
		const struct ft_gguf_tensor *x = ft_gguf_tensor(want, i), *y = ft_gguf_tensor_find(got, x->name);
		if (!same_shape(x, y))
			return printf("# %s\n", x->name), INFINITY;
		for (size_t k = 0; k < x->bytes / sizeof(float); k++) {
			float a, b;
			memcpy(&a, (const char *)x->data + k * sizeof a, sizeof a);
			memcpy(&b, (const char *)y->data + k * sizeof b, sizeof b);
			worst = fmax(worst, fabs((double)a - (double)b));
			most = fmax(most, fabs((double)a));
		}
	}
	return worst / most;
}

static void check_text(const struct ft_gguf *got, const struct ft_gguf *want, const char *key)
{
	struct ft_span a = ft_gguf_text(got, key, NULL), b = ft_gguf_text(want, key, NULL);
	ok(a.p && b.p && a.n == b.n && memcmp(a.p, b.p, a.n) == 0, "%s", key);
}

static void check(const char *name, const char *path)
{
	char folder[80], golden[80];
	snprintf(folder, sizeof folder, "tests/ref/peft/%s", name);
	snprintf(golden, sizeof golden, "tests/ref/gguf/lora/%s.gguf", name);
	const struct ft_format *f = ft_format_find("gguf-lora");
	struct ft_model *m = ft_model_open(folder, NULL, 0);
	struct ft_verified v;
	if (!ok(f && m && f->write(m, path, FT_F32) == FT_OK, "%s: is written", name))
		return;
	ok(ft_export_verify(m, f, path, FT_F32, &v) == FT_OK, "%s: and read back", name);
	struct ft_gguf *got = ft_gguf_open(path), *want = ft_gguf_open(golden);
	if (ok(got && want, "%s: both are GGUF files", name)) {
		check_text(got, want, "general.architecture");
		check_text(got, want, "general.type");
		check_text(got, want, "adapter.type");
		is_near(ft_gguf_real(got, "adapter.lora.alpha", 0, NULL), ft_gguf_real(want, "adapter.lora.alpha", 1, NULL), 0, "alpha");
		is_int((long long)ft_gguf_tensors(got), (long long)ft_gguf_tensors(want), "as many tensors");
		double worst = worst_of(got, want);
		ok(worst == 0, "%s: tensors, worst %.2g", name, worst);
	}
	ok(f->write(m, path, FT_BF16) == FT_OK && ft_export_verify(m, f, path, FT_BF16, &v) == FT_OK, "%s: in half the size", name);
	ft_gguf_close(got);
	ft_gguf_close(want);
	ft_model_free(m);
}

static void check_gpt2(const char *path)
{
	static const struct { const char *name; int64_t rows, cols; } want[] = {
		{ "blk.0.attn_qkv.weight.lora_a", 4, 16 },  { "blk.0.attn_qkv.weight.lora_b", 48, 4 },
		{ "blk.1.ffn_down.weight.lora_a", 4, 64 },  { "blk.1.ffn_down.weight.lora_b", 16, 4 },
		{ "token_embd.weight.lora_a", 40, 4 },      { "token_embd.weight.lora_b", 16, 4 },
	};
	const struct ft_format *f = ft_format_find("gguf-lora");
	struct ft_model *m = ft_model_open("tests/ref/peft/gpt2", NULL, 0);
	struct ft_verified v;
	int rc = m && f ? f->write(m, path, FT_F32) : ft_last_error();
	ok(rc == FT_OK && ft_export_verify(m, f, path, FT_F32, &v) == FT_OK, "gpt2: is written, and read back");
	struct ft_gguf *g = rc == FT_OK ? ft_gguf_open(path) : NULL;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		const struct ft_gguf_tensor *t = g ? ft_gguf_tensor_find(g, want[i].name) : NULL;
		ok(t && t->rank == 2 && t->shape[0] == want[i].rows && t->shape[1] == want[i].cols, "gpt2: %s", want[i].name);
	}
	ft_gguf_close(g);
	ft_model_free(m);
}

int main(void)
{
	char path[] = "/tmp/ft-gguf-lora.XXXXXX.gguf";
	int fd = mkstemps(path, 5);
	if (!ok(fd >= 0, "a file to write"))
		return tap_done();
	close(fd);
	check("llama", path);
	check_gpt2(path);
	unlink(path);
	return tap_done();
}

/* Fuzzes model streams over a base that is sound: what opens can be run and
 * written, and all else is refused. */
#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[64], config[128], weights[128], stream[64];

static void remove_folder(void)
{
	unlink(config);
	unlink(weights);
	rmdir(folder);
}

/* All tensors of the base, made from its configuration alone. */
static void write_weights(void)
{
	struct ft_plan plan = { .last_layers = -1, .layer_decay = 1, .init = true };
	struct ft_model *m = ft_model_plan(folder, NULL, &plan, 0);
	struct ft_stored t[64] = { { 0 } };
	size_t n = 0;
	must(m);
	for (; n < ft_model_params(m) && n < 64; n++) {
		const struct ft_param *p = ft_model_param(m, n);
		t[n] = (struct ft_stored){ p->file, FT_F32, p->rank, { p->rank == 2 ? p->t.rows : p->t.cols, p->t.cols },
			                   p->t.data, (size_t)(p->t.rows * p->t.cols) * sizeof(float), false };
	}
	must(ft_safetensors_write(weights, t, n) == FT_OK);
	ft_model_free(m);
}

static void make_folder(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(folder, sizeof folder, "%s/ft-fuzz.XXXXXX", base);
	must(mkdtemp(folder));
	atexit(remove_folder);
	snprintf(config, sizeof config, "%s/config.json", folder);
	snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
	FILE *f = fopen(config, "w");
	must(f);
	fputs("{\"model_type\":\"bert\",\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1,"
	      "\"num_attention_heads\":2,\"vocab_size\":9,\"max_position_embeddings\":5}\n", f);
	must(fclose(f) == 0);
	write_weights();
}

/* A network that a configuration asks for may be as large as it likes; here it
 * would only take time. */
static bool is_small(const struct ft_model *m)
{
	double size = 0;
	for (size_t i = 0; i < ft_model_params(m); i++)
		size += (double)ft_model_param(m, i)->t.rows * (double)ft_model_param(m, i)->t.cols;
	return size < 1e5;
}

static void run(struct ft_model *m)
{
	static const int32_t ids[] = { 0, 3, 8, 1 }, offsets[] = { 0, 3, 4 };
	static const uint8_t types[] = { 0, 1, 1, 0 };
	struct ft_batch b = { .ids = ids, .types = types, .offsets = offsets, .tokens = 4, .rows = 2,
	                      .texts = ft_model_task(m) == FT_TASK_EMBED ? 2 : 1, .epoch = -1 };
	struct ft_output out;
	struct ft_graph *g = ft_graph_new();
	must(g);
	int rc = ft_model_eval(m, g, &b, &out);
	must(rc == FT_OK || (rc < 0 && *ft_message()));
	must(rc < 0 || !out.logits || (out.units == b.rows && out.outputs == ft_model_outputs(m)));
	must(rc < 0 || ft_model_task(m) != FT_TASK_EMBED || (out.vectors && out.loss && out.units == 1));
	ft_graph_free(g);
	struct ft_writer *w = ft_writer_open("/dev/null", "model", ft_model_meta(m), NULL, 0);
	must(w && ft_model_write(m, w) == FT_OK && ft_writer_close(w) == FT_OK);
	ft_writer_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	if (fd < 0) {
		make_folder();
		fd = memfd_create("model", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(stream, sizeof stream, "/proc/self/fd/%d", fd);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	struct ft_model *m = ft_model_open(stream, folder, FT_MODEL_BARE);
	bool small = m && is_small(m);
	if (!m)
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	if (!small)
		return 0;
	m = ft_model_open(stream, folder, 0);
	if (m)
		run(m);
	else
		must(ft_last_error() < 0 && *ft_message());
	ft_model_free(m);
	return 0;
}

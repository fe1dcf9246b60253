/* tiny.h - models small enough to be opened for each input of a fuzz harness. */
#ifndef FT_TESTS_TINY_H
#define FT_TESTS_TINY_H

#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"
#include "ft/thread.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/stat.h>

#define TINY_BERT                                                                              \
	"{\"model_type\":\"bert\",\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1," \
	"\"num_attention_heads\":2,\"vocab_size\":9,\"max_position_embeddings\":5}\n"
#define TINY_LLAMA                                                                              \
	"{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":4,"  \
	"\"intermediate_size\":6,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"vocab_size\":9," \
	"\"max_position_embeddings\":5,\"tie_word_embeddings\":true}\n"

/* Makes config.json and model.safetensors in the harness's folder; the weights are made from the configuration alone. */
static inline void tiny_base(const char *config)
{
	struct ft_plan plan = { .last_layers = -1, .layer_decay = 1, .init = true };
	struct ft_stored t[64] = { { 0 } };
	size_t n = 0;
	ft_threads_set(1);
	harness_put("config.json", config, strlen(config));
	struct ft_model *m = ft_model_plan(harness_folder, NULL, &plan, 0);
	must(m && ft_model_params(m) <= 64);
	for (; n < ft_model_params(m); n++) {
		const struct ft_param *p = ft_model_param(m, n);
		t[n] = (struct ft_stored){ p->file, FT_F32, p->rank, { p->rank == 2 ? p->t.rows : p->t.cols, p->t.cols },
			                   p->t.data, (size_t)(p->t.rows * p->t.cols) * sizeof(float), false };
	}
	must(ft_safetensors_write(harness_path("model.safetensors"), t, n) == FT_OK);
	ft_model_free(m);
}

/* A network that a configuration asks for may be as large as it likes; here it would only take time. */
static inline bool tiny_is_small(const struct ft_model *m)
{
	double size = 0;
	for (size_t i = 0; i < ft_model_params(m); i++)
		size += (double)ft_model_param(m, i)->t.rows * (double)ft_model_param(m, i)->t.cols;
	return size < 1e5;
}

/* What opened can be run and written. */
static inline void tiny_use(struct ft_model *m)
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
	must(rc < 0 || !out.logits || ft_model_task(m) > FT_TASK_REGRESS ||
	     (out.units == b.rows && out.outputs == ft_model_outputs(m)));
	must(rc < 0 || ft_model_task(m) != FT_TASK_EMBED || (out.vectors && out.loss && out.units == 1));
	ft_graph_free(g);
	struct ft_writer *w = ft_writer_open("/dev/null", "model", ft_model_meta(m), NULL, 0);
	must(w && ft_model_write(m, w) == FT_OK && ft_writer_close(w) == FT_OK);
	ft_writer_free(w);
}

#endif

/* small.h - a small random BERT and random batches for tests that train. */
#ifndef FT_TESTS_SMALL_H
#define FT_TESTS_SMALL_H

#include "ft/model.h"
#include "ft/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct small {
	int width, inner, layers, heads, vocabulary, positions;
	const char *head; /* as in meta */
};

/* A network from a configuration alone. Exits when that fails: then there is
 * nothing to test. */
static struct ft_model *small_model(const struct small *s)
{
	char dir[] = "/tmp/ft-test.XXXXXX", path[64];
	FILE *f = NULL;
	if (mkdtemp(dir)) {
		snprintf(path, sizeof path, "%s/config.json", dir);
		f = fopen(path, "w");
	}
	if (!f) {
		printf("Bail out! cannot write %s\n", dir);
		exit(1);
	}
	fprintf(f, "{\"model_type\":\"bert\",\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":%d,"
	        "\"num_attention_heads\":%d,\"vocab_size\":%d,\"max_position_embeddings\":%d}\n", s->width, s->inner,
	        s->layers, s->heads, s->vocabulary, s->positions);
	fclose(f);
	json_t *head = json_loads(s->head, 0, NULL);
	struct ft_plan plan = { .head = head, .last_layers = -1, .layer_decay = 1, .seed = 1, .init = true };
	struct ft_model *m = ft_model_plan(dir, NULL, &plan, 0);
	json_decref(head);
	unlink(path);
	rmdir(dir);
	if (!m) {
		printf("Bail out! %s\n", ft_message());
		exit(1);
	}
	return m;
}

/* Rows of random ids in [from, to); with `masked` a label at every third token,
 * else one of two a row. */
#define SMALL_TOKENS 1024
#define SMALL_ROWS 16
struct small_batch {
	int32_t ids[SMALL_TOKENS], labels[SMALL_TOKENS], offsets[SMALL_ROWS + 1];
	uint8_t types[SMALL_TOKENS];
	struct ft_batch batch;
};

__attribute__((unused)) static void small_batch(struct small_batch *b, int rows, int length, int from, int to,
                                                uint64_t seed, bool masked)
{
	struct ft_rng r;
	ft_rng_init(&r, 77, seed);
	b->batch = (struct ft_batch){ .ids = b->ids, .types = b->types, .labels = b->labels, .offsets = b->offsets,
	                              .rows = (size_t)rows, .epoch = -1 };
	b->offsets[0] = 0;
	for (int i = 0; i < rows; i++) /* no two rows of a length */
		b->offsets[i + 1] = b->offsets[i] + length - i;
	b->batch.tokens = (size_t)b->offsets[rows];
	b->batch.nlabels = masked ? b->batch.tokens : b->batch.rows;
	for (size_t i = 0; i < b->batch.tokens; i++) {
		b->ids[i] = from + (int32_t)ft_rng_below(&r, (uint64_t)(to - from));
		b->types[i] = i % 5 == 4;
		b->labels[i] = !masked ? (int32_t)(i % 2) : i % 3 ? FT_IGNORE : b->ids[i];
	}
}

#endif

/* rope.c - rotary positions of a configuration against transformers
 * (tests/ref/make-rope.py), the table made of them, and what is refused. */
#include "lib/model/priv.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

/* As ModernBERT has them, or one for all layers. */
static struct rope_source source_of(const char *kind)
{
	if (!kind)
		return (struct rope_source){ .theta_key = "rope_theta", .theta = 10000, .scaled = true };
	bool local = strcmp(kind, "sliding_attention") == 0;
	return (struct rope_source){ .kind = kind, .theta_key = local ? "local_rope_theta" : "global_rope_theta",
	                             .theta = local ? 10000 : 160000, .scaled = true };
}

static int read_rope(struct rope *r, const json_t *config, const char *kind, int64_t size)
{
	struct rope_source s = source_of(kind);
	struct ft_model m = { .config = config };
	m.shape.positions = ft_json_int(config, "max_position_embeddings", 64, NULL);
	*r = (struct rope){ 0 };
	return rope_read(&m, r, &s, size);
}

static void check_case(const json_t *c)
{
	struct rope r;
	const json_t *want = json_object_get(c, "frequency");
	double scale = json_number_value(json_object_get(c, "scale")), most = 0;
	int rc = read_rope(&r, json_object_get(c, "config"), json_string_value(json_object_get(c, "kind")),
	                   json_integer_value(json_object_get(c, "size")));
	bool right = rc == 0 && (size_t)r.table.pairs == json_array_size(want) && fabs(r.scale - scale) < 1e-6 * scale;
	for (size_t i = 0; right && i < json_array_size(want); i++) {
		double f = json_number_value(json_array_get(want, i)), d = fabs(r.frequency[i] - f) / f;
		most = d <= most ? most : d;
	}
	ok(right && most < 3e-7, "%s: %zu frequencies, worst %.2g of them", json_string_value(json_object_get(c, "name")),
	   json_array_size(want), most);
	rope_free(&r);
}

/* A table grows with the rows, up to the model's positions. */
static void check_table(void)
{
	struct ft_graph *g = ft_graph_new();
	struct ft_model m = { .config = json_object() };
	struct rope_source s = source_of(NULL);
	m.shape.positions = 100;
	int32_t offsets[3] = { 0, 3, 10 };
	struct ft_batch b = { .offsets = offsets, .rows = 2, .tokens = 10 };
	is_int(rope_read(&m, &m.rope[0], &s, 8), 0, "four pairs");
	ft_graph_begin(g, FT_INFER, 0, 0);
	const struct ft_rope *t = rope_table(&m, g, &b, &m.rope[0]);
	ok(t->positions == 64 && t->pairs == 4, "a table for short rows");
	const float *before = t->table;
	ok(rope_table(&m, g, &b, &m.rope[0]) == t && t->table == before, "is made once");
	double most = 0;
	for (int p = 0; p < 64; p++)
		for (int i = 0; i < 4; i++) {
			double angle = p * pow(10000, -i / 4.0);
			most = fmax(most, fabs(t->table[p * 8 + i] - cos(angle)) + fabs(t->table[p * 8 + 4 + i] - sin(angle)));
		}
	ok(most < 5e-6, "cosines, then sines");
	offsets[2] = 90;
	ok(rope_table(&m, g, &b, &m.rope[0])->positions == 100, "longer rows make it longer");
	offsets[2] = 150;
	ok(rope_table(&m, g, &b, &m.rope[0])->positions == 100, "but not than the model");
	float x[8] = { 1 };
	struct ft_tensor in = { .data = x, .rows = 1, .cols = 8 };
	ok(!ft_rope(g, &b, &in, t, 1, 8) && ft_graph_error(g) == FT_EMATCH && strstr(ft_message(), "147 tokens; the model has 100"),
	   "a row beyond it is refused");
	rope_free(&m.rope[0]);
	json_decref((json_t *)m.config);
	ft_graph_free(g);
}

static void refused(const char *config, int64_t size, const char *reason)
{
	struct rope r;
	json_t *c = json_loads(config, 0, NULL);
	int rc = read_rope(&r, c, NULL, size);
	ok(c && rc == FT_EFORMAT && strstr(ft_message(), reason), "refused: %s", reason);
	rope_free(&r);
	json_decref(c);
}

int main(void)
{
	json_t *all = ft_json_load("tests/ref/rope.json"), *c;
	size_t i;
	ok(json_array_size(json_object_get(all, "cases")) > 0, "cases of the reference");
	json_array_foreach(json_object_get(all, "cases"), i, c)
		check_case(c);
	json_decref(all);
	check_table();
	refused("{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", 8, "'dynamic' is not supported; default, linear");
	refused("{\"rope_parameters\":{\"rope_type\":\"longrope\"}}", 8, "'longrope' is not supported");
	refused("{\"rope_parameters\":{\"rope_type\":7}}", 8, "rope_type: must be a string");
	refused("{\"rope_parameters\":[]}", 8, "rope_parameters: must be an object");
	refused("{\"rope_parameters\":{\"rope_type\":\"linear\"}}", 8, "rope: factor: missing");
	refused("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", 8, "rope: factor: is not a positive number");
	refused("{\"rope_theta\":-1}", 8, "rope: rope_theta: is not a positive number");
	refused("{\"rope_theta\":\"x\"}", 8, "rope_theta: must be a number");
	refused("{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}}", 8,
	        "high_freq_factor is not above");
	refused("{\"rope_theta\":1,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8}}", 8, "rope_theta 1 with rope_type yarn");
	refused("{\"partial_rotary_factor\":0.5}", 10, "5 of 10 components");
	refused("{\"partial_rotary_factor\":2}", 8, "16 of 8 components");
	refused("{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,\"original_max_position_embeddings\":0}}", 8,
	        "original_max_position_embeddings: 0");
	refused("{}", 7, "7 of 7 components");
	return tap_done();
}

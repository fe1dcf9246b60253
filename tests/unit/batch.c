/* batch.c - what is kept, in which order it comes, where batches end. */
#include "ft/batch.h"
#include "ft/err.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <stdlib.h>

/* A pool of n examples: example i has `lengths` tokens by turns from 1 to that
 * number, begins with token i, and is of class 1 when i is a multiple of `rare`. */
static struct ft_pool *make_pool(size_t n, size_t lengths, size_t rare)
{
	struct ft_pool *p = ft_pool_new();
	int32_t ids[64] = { 0 }, label;
	for (size_t i = 0; p && i < n; i++) {
		char src[32];
		ids[0] = (int32_t)i;
		label = i % rare == 0;
		struct ft_example e = { .ids = ids, .n = 1 + i * 7 % lengths, .labels = &label, .nlabels = 1 };
		e.src = (struct ft_span){ src, (size_t)snprintf(src, sizeof src, "t:%zu", i + 1) };
		if (ft_pool_add(p, &e) < 0)
			return NULL;
	}
	return p;
}

/* ---- pool ---- */
static int same(const struct ft_example *a, const struct ft_example *b)
{
	return a->n == b->n && a->nlabels == b->nlabels && a->ntargets == b->ntargets && a->src.n == b->src.n
		&& !memcmp(a->ids, b->ids, a->n * 4) && !a->types == !b->types
		&& (!a->types || !memcmp(a->types, b->types, a->n))
		&& !a->offsets == !b->offsets
		&& (!a->offsets || (a->texts == b->texts && !memcmp(a->offsets, b->offsets, (a->texts + 1) * 4)))
		&& (!a->nlabels || !memcmp(a->labels, b->labels, a->nlabels * 4))
		&& !a->words == !b->words && (!a->words || !memcmp(a->words, b->words, a->n * 4))
		&& (!a->ntargets || !memcmp(a->targets, b->targets, a->ntargets * 4))
		&& !a->window == !b->window && (!a->window || !memcmp(a->window, b->window, sizeof *a->window))
		&& !a->size == !b->size && (!a->size || !memcmp(a->size, b->size, sizeof *a->size))
		&& (!a->src.n || !memcmp(a->src.p, b->src.p, a->src.n));
}

static void test_pool(void)
{
	const int32_t small[] = { 0, 65535, 3 }, large[] = { 65536, INT32_MAX, 0 };
	const int32_t tags[] = { FT_IGNORE, 32767, -32768 }, wide[] = { -32769, 0, 32768 };
	const int32_t words[] = { -1, 0, 65534 }, far[] = { -1, 65535, INT32_MAX };
	const uint8_t types[] = { 0, 1, 255 };
	const float targets[] = { 1.5f, -0.0f };
	const int32_t two[] = { 0, 1, 3 }, three[] = { 0, 1, 2, 3 };
	const struct ft_window window = { (1ll << 53) - 1, 4, 5 };
	const struct ft_size size = { (1ll << 53) - 1, 5, 6 };
	const struct ft_example e[] = {
		{ .ids = small, .n = 3, .src = { "a.tsv:1", 7 } },
		{ .ids = large, .types = types, .n = 3, .labels = tags, .nlabels = 3 },
		{ .ids = small, .n = 1, .labels = wide, .nlabels = 1, .window = &window, .src = { "b", 1 } },
		{ .ids = large, .n = 2, .targets = targets, .ntargets = 2, .src = { "", 0 } },
		{ .ids = small, .types = types, .n = 3, .labels = wide, .nlabels = 3, .targets = targets, .ntargets = 1 },
		{ .ids = small, .n = 3, .offsets = two, .texts = 2, .targets = targets, .ntargets = 1, .src = { "p", 1 } },
		{ .ids = large, .types = types, .n = 3, .offsets = three, .texts = 3, .labels = wide, .nlabels = 1 },
		{ .ids = small, .n = 3, .labels = tags, .nlabels = 3, .words = words, .src = { "a.conll:1", 9 } },
		{ .ids = large, .n = 3, .words = far },
		{ .ids = small, .n = 3, .words = far, .targets = targets, .ntargets = 2, .window = &window, .size = &size, .src = { "c", 1 } },
		{ .ids = small, .n = 3, .labels = tags, .nlabels = 3, .size = &size },
	};
	size_t n = sizeof e / sizeof *e;
	struct ft_pool *p = ft_pool_new();
	int good = p != NULL;
	for (size_t k = 0; k < 100 * n && good; k++)
		good = ft_pool_add(p, &e[k % n]) == FT_OK;
	for (size_t k = 0; k < 100 * n && good; k++) {
		struct ft_example got;
		good = ft_pool_get(p, k, &got) == FT_OK && same(&got, &e[k % n]) && ft_pool_length(p, k) == got.n
			&& ft_pool_texts(p, k) == ft_example_texts(&got);
	}
	ok(good, "examples of every shape come back as they went in");
	ft_pool_free(p);

	p = make_pool(1000, 1, 2);
	size_t before = ft_pool_bytes(p);
	int32_t ids[100] = { 7 };
	struct ft_example plain = { .ids = ids, .n = 100, .src = { "x:1", 3 } };
	ft_pool_add(p, &plain);
	is_int((long long)(ft_pool_bytes(p) - before), 2 * 100 + 24 + 3, "two bytes a token and 24 an example, as documented");
	before = ft_pool_bytes(p);
	plain.window = &window;
	ft_pool_add(p, &plain);
	is_int((long long)(ft_pool_bytes(p) - before), 2 * 100 + 48 + 3, "and 24 more of a window");
	before = ft_pool_bytes(p);
	plain.size = &size;
	ft_pool_add(p, &plain);
	is_int((long long)(ft_pool_bytes(p) - before), 2 * 100 + 72 + 3, "and of a size");
	ft_pool_free(p);
}

/* ---- order ---- */
struct seen {
	size_t items, batches, tokens;
	size_t count[4096];   /* how often each example came */
	uint64_t fingerprint; /* of the order and the cuts */
	size_t widest, longest; /* most rows and tokens of a batch */
};

static void look(struct ft_pool *p, const struct ft_epoch *e, struct seen *s)
{
	*s = (struct seen){ .items = e->items, .batches = e->batches, .tokens = e->tokens };
	for (size_t b = 0; b < e->batches; b++) {
		size_t tokens = 0, rows = e->cut[b + 1] - e->cut[b];
		for (size_t k = e->cut[b]; k < e->cut[b + 1]; k++) {
			s->count[e->item[k]]++;
			tokens += ft_pool_length(p, e->item[k]);
			s->fingerprint = ft_mix(s->fingerprint, e->item[k]);
		}
		s->fingerprint = ft_mix(s->fingerprint, ~(uint64_t)b);
		s->widest = rows > s->widest ? rows : s->widest;
		s->longest = tokens > s->longest ? tokens : s->longest;
	}
}

static int is_permutation(const struct seen *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s->count[i] != 1)
			return 0;
	return s->items == n;
}

static void test_epochs(void)
{
	struct ft_pool *p = make_pool(1000, 13, 5);
	size_t end = 1000;
	struct ft_order_options o = { .shuffle = true, .seed = 7, .rows = 32, .ends = &end, .files = 1 };
	struct ft_order *order = ft_order_new(p, &o);
	struct ft_epoch e;
	static struct seen first, second, again, other;
	ft_order_next(order, &e);
	is_int(e.number, 0, "the first epoch has number 0");
	look(p, &e, &first);
	ft_order_next(order, &e);
	look(p, &e, &second);
	ok(is_permutation(&first, 1000) && is_permutation(&second, 1000), "every epoch is a permutation");
	ok(first.fingerprint != second.fingerprint, "epochs differ in order");
	is_int((long long)first.batches, 32, "1000 examples make 32 batches of 32 rows: the tail is kept");
	ft_order_rewind(order);
	ft_order_next(order, &e);
	look(p, &e, &again);
	ok(again.fingerprint == first.fingerprint, "rewound, the first epoch comes again");
	ft_order_free(order);

	o.seed = 8;
	order = ft_order_new(p, &o);
	ft_order_next(order, &e);
	look(p, &e, &other);
	ok(is_permutation(&other, 1000) && other.fingerprint != first.fingerprint, "another seed, another order");
	ft_order_free(order);

	o.shuffle = false;
	order = ft_order_new(p, &o);
	ft_order_next(order, &e);
	int good = e.items == 1000;
	for (size_t i = 0; i < e.items; i++)
		good = good && e.item[i] == i;
	ok(good, "without a shuffle the order is that of the pool");
	ft_order_free(order);
	ft_pool_free(p);
}

/* Over many seeds all 24 orders of 4 examples must be as likely: chi-squared with 23
 * degrees of freedom exceeds 58 once in 10,000 times; the seeds are fixed. */
static void test_uniform(void)
{
	struct ft_pool *p = make_pool(4, 1, 2);
	size_t end = 4, count[256] = { 0 };
	const int seeds = 24000;
	for (int s = 0; s < seeds; s++) {
		struct ft_order_options o = { .shuffle = true, .seed = (uint64_t)s, .rows = 4, .ends = &end, .files = 1 };
		struct ft_order *order = ft_order_new(p, &o);
		struct ft_epoch e;
		ft_order_next(order, &e);
		count[e.item[0] | e.item[1] << 2 | e.item[2] << 4 | e.item[3] << 6]++;
		ft_order_free(order);
	}
	double chi = 0, want = seeds / 24.0;
	int orders = 0;
	for (int i = 0; i < 256; i++) {
		orders += count[i] > 0;
		chi += count[i] ? ((double)count[i] - want) * ((double)count[i] - want) / want : 0;
	}
	is_int(orders, 24, "all 24 orders of 4 examples occur");
	ok(chi < 58, "and equally often (chi-squared %.1f, 23 degrees of freedom)", chi);
	ft_pool_free(p);
}

static void test_budget(void)
{
	struct ft_pool *p = make_pool(1000, 13, 5);
	size_t end = 1000;
	struct ft_order_options o = { .shuffle = true, .seed = 1, .tokens = 40, .ends = &end, .files = 1 };
	static struct seen s;
	struct ft_order *order = ft_order_new(p, &o);
	struct ft_epoch e;
	ft_order_next(order, &e);
	look(p, &e, &s);
	ok(is_permutation(&s, 1000) && s.longest <= 40, "a token budget is kept and no example is lost");
	int tight = 1; /* the first row of the next batch would not have fitted */
	for (size_t b = 0; b + 1 < e.batches; b++) {
		size_t tokens = 0;
		for (size_t k = e.cut[b]; k <= e.cut[b + 1]; k++)
			tokens += ft_pool_length(p, e.item[k]);
		tight = tight && tokens > 40;
	}
	ok(tight, "batches close only when the next row does not fit");
	ft_order_free(order);

	o.rows = 3;
	order = ft_order_new(p, &o);
	ft_order_next(order, &e);
	look(p, &e, &s);
	ok(is_permutation(&s, 1000) && s.longest <= 40 && s.widest == 3, "rows and tokens limit together");
	ft_order_free(order);
	ft_pool_free(p);
}

static void test_bucket(void)
{
	struct ft_pool *p = make_pool(1000, 41, 5);
	size_t end = 1000;
	struct ft_order_options o = { .shuffle = true, .seed = 1, .rows = 10, .bucket = 20, .ends = &end, .files = 1 };
	static struct seen s, t;
	struct ft_order *order = ft_order_new(p, &o);
	struct ft_epoch e;
	ft_order_next(order, &e);
	look(p, &e, &s);
	ok(is_permutation(&s, 1000) && s.batches == 100, "buckets lose nothing and make no more batches");
	size_t spread = 0, rising = 0, last = 0;
	for (size_t b = 0; b < e.batches; b++) {
		size_t low = ft_pool_length(p, e.item[e.cut[b]]), high = ft_pool_length(p, e.item[e.cut[b + 1] - 1]);
		spread += high - low;
		rising += low >= last;
		last = low;
	}
	ok(spread < 100 * 5, "rows of a batch are of like length (spread %.1f of 41)", (double)spread / 100);
	ok(rising > 30 && rising < 70, "batches come in no order of length (%zu of 100 not shorter than before)", rising);
	ft_order_next(order, &e);
	look(p, &e, &t);
	ok(is_permutation(&t, 1000) && t.fingerprint != s.fingerprint, "the next epoch has other batches");
	ft_order_free(order);

	o.rows = 0;
	o.tokens = 100;
	order = ft_order_new(p, &o);
	for (int i = 0; i < 3; i++) {
		ft_order_next(order, &e);
		look(p, &e, &s);
		ok(is_permutation(&s, 1000) && s.longest <= 100, "buckets with a token budget, epoch %d", i);
	}
	ft_order_free(order);
	ft_pool_free(p);
}

static void test_best_fit(void)
{
	struct ft_pool *p = make_pool(1000, 53, 5);
	size_t end = 1000;
	struct ft_order_options plain = { .shuffle = true, .seed = 1, .tokens = 64, .ends = &end, .files = 1 }, full = plain;
	static struct seen s, t;
	struct ft_epoch e;
	full.pack = true;
	struct ft_order *a = ft_order_new(p, &plain), *b = ft_order_new(p, &full);
	for (int i = 0; i < 2; i++) {
		ft_order_next(a, &e);
		look(p, &e, &s);
		ft_order_next(b, &e);
		uint64_t before = t.fingerprint;
		look(p, &e, &t);
		size_t least = (t.tokens + 63) / 64;
		ok(is_permutation(&t, 1000) && t.longest <= 64, "full batches lose nothing and keep the limit, epoch %d", i);
		ok(t.batches <= least + least / 100 && t.batches + 50 < s.batches,
		   "and there are %zu of them, where %zu are the least and %zu come in order", t.batches, least, s.batches);
		ok(t.fingerprint != before, "other ones in each epoch");
	}
	ft_order_free(b);
	full.rows = 3;
	b = ft_order_new(p, &full);
	ft_order_next(b, &e);
	look(p, &e, &t);
	ok(is_permutation(&t, 1000) && t.widest == 3 && t.longest <= 64, "also with a limit of rows");
	ft_order_free(b);
	full.rows = 0;
	full.tokens = 20; /* less than some have alone */
	b = ft_order_new(p, &full);
	ft_order_next(b, &e);
	look(p, &e, &t);
	ok(is_permutation(&t, 1000) && t.longest == 53, "what is longer than the limit stands alone");
	ft_order_free(b);
	full.tokens = SIZE_MAX;
	b = ft_order_new(p, &full);
	ft_order_next(b, &e);
	ok(e.batches == 1 && e.items == 1000, "no limit that matters, one batch");
	ft_order_free(a);
	ft_order_free(b);
	ft_pool_free(p);
}

static void test_limit(void)
{
	struct ft_pool *p = make_pool(1000, 13, 5);
	size_t end = 1000;
	static struct seen s[3];
	int inside = 1;
	for (int i = 0; i < 3; i++) { /* 100, 300, and the second epoch of 300 */
		struct ft_order_options o = { .shuffle = true, .seed = 3, .rows = 32, .limit = i ? 300 : 100,
		                              .ends = &end, .files = 1 };
		struct ft_order *order = ft_order_new(p, &o);
		struct ft_epoch e;
		ft_order_next(order, &e);
		if (i == 2)
			ft_order_next(order, &e);
		look(p, &e, &s[i]);
		is_int((long long)ft_order_examples(order), i ? 300 : 100, "so many examples are used");
		ft_order_free(order);
	}
	for (size_t i = 0; i < 1000; i++)
		inside = inside && s[0].count[i] <= s[1].count[i] && s[1].count[i] == s[2].count[i];
	is_int((long long)s[0].items, 100, "a limit of 100");
	ok(inside, "a smaller limit is a part of a larger one; all epochs use the same examples");
	ft_pool_free(p);
}

static void test_mix(void)
{
	struct ft_pool *p = make_pool(1000, 13, 5); /* 600 of the first file, 100, 300 */
	size_t ends[] = { 600, 700, 1000 };
	uint64_t weights[] = { 3000000, 1000000, 500000 };
	struct ft_order_options o = { .shuffle = true, .seed = 3, .rows = 9, .weights = weights, .ends = ends, .files = 3 };
	struct ft_order *order = ft_order_new(p, &o);
	size_t total[1000] = { 0 };
	for (int epoch = 0; epoch < 3; epoch++) {
		struct ft_epoch e;
		static struct seen s;
		ft_order_next(order, &e);
		look(p, &e, &s);
		size_t of[3] = { 0 }, once = 1, worst = 0;
		for (size_t i = 0; i < 1000; i++) {
			of[(i >= 600) + (i >= 700)] += s.count[i];
			once = once && (i >= 600 || s.count[i] == 1);
			total[i] += s.count[i];
		}
		ok(once && of[0] == 600, "epoch %d takes the first file once", epoch);
		ok(of[1] == 200 && of[2] == 100, "and the others by weight: %zu and %zu", of[1], of[2]);
		for (size_t b = 0; b < e.batches; b++) { /* of 9 rows: 6, 2, 1 */
			size_t first = 0;
			for (size_t k = e.cut[b]; k < e.cut[b + 1]; k++)
				first += e.item[k] < 600;
			worst = first < 6 ? worst + 1 : worst;
		}
		is_int((long long)worst, 0, "every batch has the proportions");
	}
	int even = 1;
	for (size_t i = 600; i < 1000; i++)
		even = even && total[i] == (i < 700 ? 6 : 1);
	ok(even, "over epochs the others are cycled through evenly");
	ft_order_free(order);

	weights[1] = 1; /* so rare that it would round to none */
	order = ft_order_new(p, &o);
	struct ft_epoch e;
	ft_order_next(order, &e);
	is_int((long long)e.items, 600 + 1 + 100, "at least one of each file");
	ft_order_free(order);
	ft_pool_free(p);
}

static void test_balance(void)
{
	struct ft_pool *p = make_pool(1000, 13, 7); /* 143 of class 1, 857 of class 0 */
	size_t end = 1000, total[1000] = { 0 };
	struct ft_order_options o = { .shuffle = true, .seed = 3, .rows = 10, .balance = true, .ends = &end, .files = 1 };
	struct ft_order *order = ft_order_new(p, &o);
	for (int epoch = 0; epoch < 2; epoch++) {
		struct ft_epoch e;
		static struct seen s;
		ft_order_next(order, &e);
		look(p, &e, &s);
		size_t rare = 0, once = 1, few = 9, many = 0;
		for (size_t i = 0; i < 1000; i++) {
			total[i] += s.count[i];
			if (i % 7) {
				once = once && s.count[i] == 1;
				continue;
			}
			rare += s.count[i];
			few = s.count[i] < few ? s.count[i] : few;
			many = s.count[i] > many ? s.count[i] : many;
		}
		ok(once && e.items == 2 * 857 && rare == 857, "epoch %d: the larger class once, the other as often", epoch);
		ok(many - few <= 1 + (epoch > 0), "each of the rarer class %zu or %zu times", few, many);
		int halves = 1;
		for (size_t b = 0; b + 1 < e.batches; b++) {
			size_t of = 0;
			for (size_t k = e.cut[b]; k < e.cut[b + 1]; k++)
				of += e.item[k] % 7 == 0;
			halves = halves && of == 5;
		}
		ok(halves, "every batch is half and half");
	}
	size_t few = 99, many = 0;
	for (size_t i = 0; i < 1000; i += 7) {
		few = total[i] < few ? total[i] : few;
		many = total[i] > many ? total[i] : many;
	}
	ok(many - few <= 1, "over epochs the rarer class is cycled through evenly");
	ft_order_free(order);

	int32_t tags[] = { 1, 2 };
	struct ft_example e = { .ids = tags, .n = 2, .labels = tags, .nlabels = 2, .src = { "x:9", 3 } };
	ft_pool_add(p, &e);
	end = 1001;
	ok(!ft_order_new(p, &o) && ft_last_error() == FT_EFORMAT && strstr(ft_message(), "x:9"),
	   "balancing refuses an example without one class, by name");
	ft_pool_free(p);
}

/* ---- examples of several texts ---- */
static void test_texts(void)
{
	const int32_t ids[] = { 1, 2, 3, 4, 5 }, cut[] = { 0, 2, 5 }, other[] = { 0, 1, 2, 5 }, want[] = { 0, 2, 5, 7, 10 };
	const float score = 0.5f;
	struct ft_example pair = { .ids = ids, .n = 5, .offsets = cut, .texts = 2, .targets = &score, .ntargets = 1,
	                           .src = { "a:1", 3 } };
	struct ft_example triple = { .ids = ids, .n = 5, .offsets = other, .texts = 3, .targets = &score, .ntargets = 1,
	                             .src = { "a:2", 3 } };
	struct ft_pack *p = ft_pack_new();
	struct ft_batch b;
	int rc = ft_pack_add(p, &pair) | ft_pack_add(p, &pair) | ft_pack_batch(p, &b);
	ok(rc == 0 && ft_pack_examples(p) == 2 && b.rows == 4 && b.texts == 2 && b.tokens == 10 && b.ntargets == 2
	   && !memcmp(b.offsets, want, sizeof want) && b.src[1].n == 3, "two pairs are four rows, two scores and two sources");
	ok(ft_pack_add(p, &triple) == FT_EFORMAT && !strcmp(ft_message(), "a:2: has 3 texts, the examples before it have 2"),
	   "a third text in one example is not possible: %s", ft_message());
	ft_pack_free(p);

	struct ft_pool *pool = ft_pool_new();
	size_t end = 6;
	for (int i = 0; i < 6; i++)
		ft_pool_add(pool, i % 2 ? &triple : &pair);
	struct ft_order_options o = { .rows = 4, .ends = &end, .files = 1 };
	struct ft_order *order = ft_order_new(pool, &o);
	struct ft_epoch e;
	ft_order_next(order, &e);
	ok(e.items == 6 && e.rows == 15 && e.tokens == 30 && e.batches == 2, "an epoch counts examples, texts and tokens");
	ft_order_free(order);
	ft_pool_free(pool);

	struct ft_keep half = { 0 };
	ft_keep_split(&half, "train:0.5");
	int together = 1, kept = 0;
	for (int32_t i = 0; i < 1000; i++) {
		int32_t a[] = { i, 7, 8, 9, 10 }, c[] = { i, 7, 8, 9, i };
		pair.ids = a;
		int first = ft_keep_test(&half, &pair);
		pair.ids = c;
		together = together && first == ft_keep_test(&half, &pair);
		kept += first;
	}
	ok(together && kept > 400 && kept < 600, "pairs of one anchor fall on one side of a split (%d of 1000)", kept);
}

/* ---- splits and folds ---- */
static void test_keep(void)
{
	struct ft_keep train = { 0 }, rest = { 0 }, fold[5] = { 0 }, except = { 0 }, other = { .seed = 1 }, all = { 0 };
	int rc = ft_keep_split(&train, "train:0.9") | ft_keep_split(&rest, "rest:0.9") | ft_keep_split(&other, "train:0.9")
		| ft_keep_fold(&except, "2/5", true);
	for (int i = 0; i < 5; i++)
		rc |= ft_keep_fold(&fold[i], (const char *[]){ "1/5", "2/5", "3/5", "4/5", "5/5" }[i], false);
	is_int(rc, 0, "splits and folds are understood");
	size_t in_train = 0, both = 0, folds[5] = { 0 }, wrong = 0, moved = 0, everything = 0, joint = 0;
	for (int32_t i = 0; i < 20000; i++) {
		int32_t ids[] = { 101, i % 977, i, 102 };
		struct ft_example e = { .ids = ids, .n = 4 };
		int a = ft_keep_test(&train, &e), b = ft_keep_test(&rest, &e), n = 0;
		in_train += (size_t)a;
		both += a == b;
		moved += a != ft_keep_test(&other, &e);
		everything += ft_keep_test(&all, &e);
		for (int k = 0; k < 5; k++) {
			int in = ft_keep_test(&fold[k], &e);
			n += in;
			folds[k] += (size_t)in;
			joint += k == 1 && in && a;
			wrong += k == 1 && in == ft_keep_test(&except, &e);
		}
		wrong += n != 1;
	}
	is_int((long long)both, 0, "rest is the complement of train");
	ok(in_train > 17800 && in_train < 18200, "train:0.9 keeps nine of ten (%zu of 20000)", in_train);
	is_int((long long)wrong, 0, "each example is in one fold, and except-fold is the complement");
	for (int k = 0; k < 5; k++)
		ok(folds[k] > 3800 && folds[k] < 4200, "fold %d holds a fifth (%zu of 20000)", k + 1, folds[k]);
	ok(joint > 3400 && joint < 3800, "folds are independent of splits (%zu of 3600)", joint);
	ok(moved > 3200 && moved < 4000, "another seed splits otherwise (%zu of 3600 moved)", moved);
	is_int((long long)everything, 20000, "without options everything is kept");

	static const char *const bad[] = { "train", "train:", "train:0", "train:1", "train:x", "test:0.5", "train:0.5x",
	                                   "train:nan", ":0.5", "" };
	static const char *const bad_fold[] = { "1", "0/5", "6/5", "1/1", "/5", "1/", "1/5x", "x/5", "1/99999999999", "-1/5" };
	struct ft_keep k = { 0 };
	int refused = 0;
	for (size_t i = 0; i < 10; i++)
		refused += (ft_keep_split(&k, bad[i]) == FT_EUSAGE) + (ft_keep_fold(&k, bad_fold[i], false) == FT_EUSAGE);
	is_int(refused, 20, "what is no split or fold is refused");
}

/* ---- masking ---- */
static json_t *tokenizer(void)
{
	return json_pack("{s:i, s:i, s:[i,i,i,i,i]}", "vocab", 1000, "mask", 4, "special", 4, 0, 1, 3, 2);
}

static void test_mask(void)
{
	json_t *t = tokenizer();
	struct ft_mask *m = ft_mask_new(t, 0.15, 9);
	size_t tokens = 0, hidden = 0, masked = 0, kept = 0, special = 0, wrong = 0, bare = 0;
	size_t replaced_by[1000] = { 0 };
	for (uint64_t i = 0; i < 4000; i++) {
		int32_t ids[52];
		size_t n = 3 + i % 50, here = 0;
		for (size_t k = 0; k < n; k++)
			ids[k] = k == 0 ? 2 : k + 1 == n ? 3 : 5 + (int32_t)((i * 31 + k * 7) % 995);
		struct ft_example e = { .ids = ids, .n = n };
		wrong += ft_mask_apply(m, i, 0, &e) < 0 || e.nlabels != n;
		for (size_t k = 0; k < n; k++) {
			int chosen = e.labels[k] != FT_IGNORE;
			tokens += k > 0 && k + 1 < n;
			hidden += (size_t)chosen;
			here += (size_t)chosen;
			wrong += chosen ? e.labels[k] != ids[k] : e.ids[k] != ids[k];
			if (!chosen)
				continue;
			special += ids[k] < 5 || (e.ids[k] < 5 && e.ids[k] != 4);
			masked += e.ids[k] == 4;
			kept += e.ids[k] == ids[k];
			if (e.ids[k] != 4 && e.ids[k] != ids[k])
				replaced_by[e.ids[k]]++;
		}
		bare += here == 0;
	}
	size_t replaced = hidden - masked - kept, kinds = 0;
	for (size_t i = 0; i < 1000; i++)
		kinds += replaced_by[i] > 0;
	is_int((long long)wrong, 0, "labels are the ids before; what is not chosen stays");
	is_int((long long)special, 0, "special tokens are neither hidden nor put in");
	is_int((long long)bare, 0, "every row has a token to predict");
	ok(hidden > tokens * 0.15 && hidden < tokens * 0.165, "15 %% of tokens, and one of rows without (%zu of %zu)",
	   hidden, tokens);
	ok(masked > hidden * 0.78 && masked < hidden * 0.82, "80 %% become [MASK] (%zu of %zu)", masked, hidden);
	ok(kept > hidden * 0.085 && kept < hidden * 0.115, "10 %% stay (%zu)", kept);
	ok(replaced > hidden * 0.085 && replaced < hidden * 0.115, "10 %% become another token (%zu)", replaced);
	ok(kinds > 700, "of which there are many (%zu)", kinds);

	int32_t ids[50];
	for (int i = 0; i < 50; i++)
		ids[i] = 5 + i;
	struct ft_example e = { .ids = ids, .n = 50 };
	int32_t first[50];
	ft_mask_apply(m, 1, 0, &e);
	memcpy(first, e.labels, sizeof first);
	e = (struct ft_example){ .ids = ids, .n = 50 };
	e.size = &(struct ft_size){ 9, 9, 2 };
	ft_mask_apply(m, 1, 1, &e);
	ok(!e.size, "the size of what was supervised before is gone");
	ok(memcmp(first, e.labels, sizeof first) != 0, "the next pass hides other tokens");
	e = (struct ft_example){ .ids = ids, .n = 50 };
	ft_mask_apply(m, 2, 0, &e);
	ok(memcmp(first, e.labels, sizeof first) != 0, "so does another example");
	e = (struct ft_example){ .ids = ids, .n = 50 };
	ft_mask_apply(m, 1, 0, &e);
	ok(memcmp(first, e.labels, sizeof first) == 0, "the same pass of the same example is masked alike");
	int32_t only_special[] = { 2, 1, 3 };
	e = (struct ft_example){ .ids = only_special, .n = 3 };
	ok(!ft_mask_possible(m, &e), "a row of special tokens cannot be masked");
	ft_mask_free(m);

	ok(!ft_mask_new(t, 0, 0) && !ft_mask_new(t, 1.5, 0) && ft_last_error() == FT_EUSAGE, "the probability is checked");
	m = ft_mask_new(t, 1, 0);
	e = (struct ft_example){ .ids = ids, .n = 50 };
	ft_mask_apply(m, 0, 0, &e);
	int all = 1;
	for (int i = 0; i < 50; i++)
		all = all && e.labels[i] == ids[i];
	ok(all, "with probability 1 every token is to be predicted");
	ft_mask_free(m);
	json_object_set_new(t, "mask", json_null());
	ok(!ft_mask_new(t, 0.15, 0) && ft_last_error() == FT_EFORMAT, "a tokenizer without a mask token is refused");
	json_decref(t);
}

/* Windows of one document, whose ids differ, stay together; documents do not. */
static void test_keep_windows(void)
{
	struct ft_keep train = { 0 }, fold = { 0 };
	ft_keep_split(&train, "train:0.7");
	ft_keep_fold(&fold, "2/3", false);
	int apart = 0, in = 0, in_fold = 0;
	for (int64_t doc = 0; doc < 3000; doc++)
		for (int32_t i = 0; i < 4; i++) {
			int32_t ids[] = { i, (int32_t)doc, i * 7 };
			struct ft_window first = { doc * 3, 0, 4 }, w = { doc * 3, i, 4 };
			struct ft_example e = { .ids = ids, .n = 3, .window = &first };
			bool side = ft_keep_test(&train, &e), part = ft_keep_test(&fold, &e);
			e.window = &w;
			apart += ft_keep_test(&train, &e) != side || ft_keep_test(&fold, &e) != part;
			in += i == 0 && side;
			in_fold += i == 0 && part;
		}
	is_int(apart, 0, "windows of a document stay on one side");
	ok(in > 2000 && in < 2200, "seven of ten documents are kept (%d of 3000)", in);
	ok(in_fold > 900 && in_fold < 1100, "a third is in a fold (%d of 3000)", in_fold);
}

/* ---- packing ---- */
static void test_pack(void)
{
	const int32_t ids[] = { 2, 7, 3 }, tags[] = { 1, FT_IGNORE, 0 };
	const int32_t words[] = { -1, 0, 0 };
	const uint8_t types[] = { 0, 1, 1 };
	struct ft_example a = { .ids = ids, .n = 3, .labels = tags, .nlabels = 3, .src = { "a:1", 3 } };
	struct ft_example b = { .ids = ids, .types = types, .n = 2, .labels = tags, .nlabels = 2, .src = { "b:22", 4 } };
	struct ft_pack *p = ft_pack_new();
	struct ft_batch got;
	int rc = ft_pack_add(p, &a) | ft_pack_add(p, &b) | ft_pack_batch(p, &got);
	is_int(rc, 0, "two rows make a batch");
	ok(got.rows == 2 && got.tokens == 5 && got.nlabels == 5 && got.offsets[0] == 0 && got.offsets[1] == 3
	   && got.offsets[2] == 5, "rows lie end to end");
	ok(got.types && !memcmp(got.types, "\0\0\0\0\1", 5), "a row without types has type 0");
	ok(got.src[0].n == 3 && !memcmp(got.src[0].p, "a:1", 3) && got.src[1].n == 4 && !memcmp(got.src[1].p, "b:22", 4),
	   "every row keeps its source");
	ft_pack_clear(p);
	b.types = NULL;
	b.src = (struct ft_span){ 0 };
	ft_pack_add(p, &b);
	ft_pack_batch(p, &got);
	ok(got.rows == 1 && !got.types && !got.src && !got.words && !got.windows && !got.sizes, "what no row has is left out");
	a.words = words;
	ft_pack_add(p, &a);
	ft_pack_batch(p, &got);
	ok(got.words && !memcmp(got.words, (int32_t[]){ -1, -1, -1, 0, 0 }, 20), "a row without words has word -1");
	ft_pack_clear(p);
	ft_pack_add(p, &b);
	b.window = &(struct ft_window){ 9, 1, 2 };
	ft_pack_add(p, &b);
	ft_pack_batch(p, &got);
	ok(got.windows && got.windows[0].count == 1 && got.windows[0].doc == 0 && got.windows[1].doc == 9 &&
	   got.windows[1].index == 1 && got.windows[1].count == 2, "a window beside a whole text");
	ft_pack_clear(p);
	ft_pack_add(p, &b);
	b.size = &(struct ft_size){ 9, 8, 2 };
	ft_pack_add(p, &b);
	ft_pack_batch(p, &got);
	ok(got.sizes && got.sizes[0].bytes == -1 && got.sizes[0].words == -1 && got.sizes[1].bytes == 9 &&
	   got.sizes[1].characters == 8 && got.sizes[1].words == 2, "a size beside one that is not known");

	struct ft_example whole = { .ids = ids, .n = 3, .labels = tags, .nlabels = 1, .src = { "c:3", 3 } };
	struct ft_example bare = { .ids = ids, .n = 3, .src = { "d:4", 3 } };
	ok(ft_pack_add(p, &whole) == FT_EFORMAT && strstr(ft_message(), "c:3"), "labels of two kinds are refused");
	ft_pack_clear(p);
	ft_pack_add(p, &whole);
	ok(ft_pack_add(p, &bare) == FT_EFORMAT && strstr(ft_message(), "d:4: has no label"), "a missing label is refused");
	ft_pack_free(p);
}

int main(void)
{
	test_pool();
	test_epochs();
	test_uniform();
	test_budget();
	test_bucket();
	test_best_fit();
	test_limit();
	test_mix();
	test_balance();
	test_texts();
	test_keep();
	test_keep_windows();
	test_mask();
	test_pack();
	return tap_done();
}

/* json-memory.c - memory that runs out while JSON is read or made: each allocation fails once, and it is said. */
#include "ft/err.h"
#include "ft/file.h"
#include "ft/json.h"
#include "tests/tap.h"

#ifdef __SANITIZE_ADDRESS__ /* whose allocations are its own */
int main(void)
{
	tap_skip("allocations cannot be made to fail here");
	return tap_done();
}
#else
#include "tests/fault/allocs.c"

#include <unistd.h>

static char text[20000], file[64];

/* Members of every kind, nested, with strings that jansson enlarges as it goes. */
static void make_text(void)
{
	char *p = text + sprintf(text, "{\"long\": \"");
	for (int i = 0; i < 1000; i++)
		p += sprintf(p, "\\u20ac\\n%c", 'a' + i % 26);
	p += sprintf(p, "\", \"list\": [");
	for (int i = 0; i < 40; i++)
		p += sprintf(p, "{\"name %d\": [true, null, %d, 1.5e%d, 100000000000000000000]}, ", i, i, i % 30);
	sprintf(p, "{}]}");
}

static json_t *whole;

/* 1: something else was read. */
static int read_it(void)
{
	json_t *v = ft_json_parse("a text", text, strlen(text));
	int rc = v ? !json_equal(v, whole) : ft_last_error();
	json_decref(v);
	return rc;
}

/* The same. */
static int make_it(void)
{
	json_t *v = json_pack("{s:s, s:[I,f], s:{s:b}}", "a", "text", "numbers", (json_int_t)1, 2.5, "of", "it", 1);
	char *s = ft_json_text(v);
	int rc = s ? strcmp(s, "{\"a\":\"text\",\"numbers\":[1,2.5],\"of\":{\"it\":true}}") : ft_last_error();
	free(s);
	json_decref(v);
	return rc;
}

/* A copy is of all of it. */
static int copy_it(void)
{
	json_t *deep = ft_json_deep_copy(whole), *copy = deep ? ft_json_copy(deep) : NULL;
	int rc = copy ? !json_equal(copy, whole) : ft_last_error();
	json_decref(copy);
	json_decref(deep);
	return rc;
}

/* What misses something is not committed, or said to be whole. */
static int keep_it(void)
{
	struct ft_outfile *f = ft_outfile_open(file);
	json_t *v = json_object();
	for (int i = 0; f && i < 12; i++) /* whatever fails here is not seen */
		json_object_set_new(v, "abcdefghijkl" + i, json_integer(i));
	int rc = f ? ft_outfile_commit(f) : ft_last_error();
	rc = rc ? rc : json_object_size(v) != 12;
	ft_outfile_free(f);
	json_decref(v);
	remove(file);
	return rc;
}

/* Lets the first allocation fail, the second, and so on until none is left. */
static void check(const char *what, int (*run)(void))
{
	int wrong = 0, tries = 0, rc;
	do {
		ft_json_dropped();
		at = ++tries;
		made = failed = 0;
		rc = run();
		at = 0;
		if (rc == FT_EFAIL ? !failed || !strstr(ft_message(), "memory") : rc != FT_OK) {
			printf("# %d: %d: %s\n", tries, rc, ft_message());
			wrong++;
		}
	} while (failed);
	is_int(wrong, 0, what);
	ok(tries > 10, "in %d tries", tries);
}

int main(void)
{
	make_text();
	snprintf(file, sizeof file, "/tmp/ft-json-memory.%d", (int)getpid());
	whole = ft_json_parse("a text", text, strlen(text));
	ok(json_array_size(json_object_get(whole, "list")) == 41, "a text of all kinds");
	check("what was read before memory ran out is dropped", read_it);
	check("what was made then is not written", make_it);
	check("a copy of part of it is none", copy_it);
	check("a file is not committed then", keep_it);
	json_decref(whole);
	return tap_done();
}
#endif

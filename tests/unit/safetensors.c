/* The safetensors reader on good and bad files, and the writer. */
#include "ft/cli.h"
#include "ft/format.h"
#include "ft/mem.h"
#include "tests/tap.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";

/* A file of the folder, with a header, and data bytes 0, 1, 2, … behind it. */
static const char *make(uint64_t length, const char *header, size_t n, size_t data)
{
	static char path[64];
	snprintf(path, sizeof path, "%s/t.safetensors", folder);
	FILE *f = fopen(path, "wb");
	for (int i = 0; i < 8; i++)
		putc((int)(length >> 8 * i & 255), f);
	if (n)
		fwrite(header, 1, n, f);
	for (size_t i = 0; i < data; i++)
		putc((int)(i & 255), f);
	fclose(f);
	return path;
}

static struct ft_safetensors *open_text(const char *header, size_t data)
{
	return ft_safetensors_open(make(strlen(header), header, strlen(header), data));
}

/* Refused as malformed, with `reason` in a message that begins with the path. */
static void refused(const char *what, const char *path, const char *reason)
{
	struct ft_safetensors *s = ft_safetensors_open(path);
	const char *m = ft_message();
	if (!ok(!s && ft_last_error() == FT_EFORMAT && !strncmp(m, path, strlen(path)) && strstr(m, reason),
	        "refused: %s", what))
		printf("# wanted: %s\n", reason);
	ft_safetensors_close(s);
}

#define F4 "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define E(rest) "{\"x\":{" rest "}}"

/* X(what, header, bytes of data, part of the message) */
static const struct {
	const char *what, *header;
	size_t data;
	const char *reason;
} bad[] = {
	{ "an empty header", "", 0, "does not begin with '{'" },
	{ "a header that begins with a space", " {}", 0, "does not begin with '{'" },
	{ "an array", "[]", 0, "does not begin with '{'" },
	{ "an object without end", "{", 0, "byte 9: ends too early" },
	{ "an object that ends in a string", "{\"x", 0, "ends too early" },
	{ "a string that ends in a backslash", "{\"x\\", 0, "ends too early" },
	{ "a name and nothing", "{\"x\"", 0, "ends too early" },
	{ "a colon and nothing", "{\"x\":", 0, "ends too early" },
	{ "an entry without end", "{\"x\":{\"dtype\":[", 0, "ends too early" },
	{ "a newline behind the object", "{}\n", 0, "only spaces may follow" },
	{ "a second object", "{}{}", 0, "only spaces may follow" },
	{ "a closing brace too many", "{}}", 0, "only spaces may follow" },
	{ "a tab as padding", "{}\t", 0, "byte 10: only spaces" },
	{ "no comma", "{\"x\":" F4 "\"y\":" F4 "}", 4, "',' or '}' expected" },
	{ "two commas", "{\"x\":" F4 ",,\"y\":" F4 "}", 4, "a name in quotes expected" },
	{ "a comma at the end", "{\"x\":" F4 ",}", 4, "a name in quotes expected" },
	{ "a name without quotes", "{x:" F4 "}", 4, "a name in quotes expected" },
	{ "no colon", "{\"x\"" F4 "}", 4, "':' expected" },
	{ "no value", "{\"x\":}", 0, "a value expected" },
	{ "a comma for a value", "{\"x\":,}", 0, "a value expected" },
	{ "a bracket for a value", "{\"x\":]}", 0, "a value expected" },
	{ "brackets that do not match", "{\"x\":{\"dtype\":[}]}", 0, "header: byte" },
	{ "a name with a newline in it", "{\"a\nb\":" F4 "}", 4, "header: byte" },
	{ "a name with a NUL", "{\"a\\u0000b\":" F4 "}", 4, "header: byte" },
	{ "a name that is not UTF-8", "{\"a\xff\":" F4 "}", 4, "header: byte" },
	{ "half a surrogate", "{\"\\ud800\":" F4 "}", 4, "header: byte" },
	{ "a name that appears twice",
	  "{\"x\":" F4 ",\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
	  "tensor 'x': appears twice" },
	{ "the same name, once escaped", "{\"x\":" F4 ",\"\\u0078\":" F4 "}", 4, "appears twice" },
	{ "an entry that is a number", "{\"x\":1}", 0, "tensor 'x': the entry is not an object" },
	{ "an entry that is an array", "{\"x\":[]}", 0, "the entry is not an object" },
	{ "an entry that is not JSON", "{\"x\":nil}", 0, "header: byte 13" },
	{ "a field twice", E("\"dtype\":\"F32\",\"dtype\":\"F32\""), 0, "duplicate" },
	{ "an unknown field", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[1]"), 4,
	  "tensor 'x': unknown field 'strides'" },
	{ "no dtype", E("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "dtype is missing" },
	{ "a number as dtype", E("\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]"), 4,
	  "dtype is not a string" },
	{ "an unknown dtype", E("\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]"), 4,
	  "unknown dtype 'F31'" },
	{ "a dtype in lower case", E("\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4,
	  "unknown dtype" },
	{ "no shape", E("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "shape is missing" },
	{ "a number as shape", E("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]"), 4,
	  "shape is not an array" },
	{ "a real dimension", E("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4,
	  "not a whole number" },
	{ "a negative dimension", E("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4,
	  "not a whole number" },
	{ "two negative dimensions", E("\"dtype\":\"F32\",\"shape\":[-1,-1],\"data_offsets\":[0,4]"), 4,
	  "not a whole number" },
	{ "a dimension beyond 64 bits",
	  E("\"dtype\":\"F32\",\"shape\":[18446744073709551617],\"data_offsets\":[0,4]"), 4, "header: byte" },
	{ "a product that wraps to the right size",
	  E("\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]"), 4, "overflows" },
	{ "a product that wraps to 0",
	  E("\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0, "overflows" },
	{ "an overflow hidden by a 0",
	  E("\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]"), 0, "overflows" },
	{ "no offsets", E("\"dtype\":\"F32\",\"shape\":[1]"), 4, "data_offsets is missing" },
	{ "one offset", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, "is not [begin, end]" },
	{ "three offsets", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]"), 4,
	  "is not [begin, end]" },
	{ "a real offset", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]"), 4,
	  "not whole numbers" },
	{ "negative offsets", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"), 4,
	  "not whole numbers" },
	{ "an end before the begin", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4,
	  "do not match" },
	{ "too few bytes", E("\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,12]"), 12,
	  "tensor 'x': data_offsets [0, 12] do not match F32 [2, 2] (16 bytes)" },
	{ "too many bytes", E("\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,4]"), 4,
	  "do not match F16 [] (2 bytes)" },
	{ "bytes for an empty tensor", E("\"dtype\":\"F16\",\"shape\":[2,0],\"data_offsets\":[0,4]"), 4,
	  "(0 bytes)" },
	{ "data that is not there", E("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 7,
	  "beyond the 7 bytes" },
	{ "offsets near 2^63",
	  E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775803,9223372036854775807]"), 4,
	  "lie beyond" },
	{ "an empty tensor behind the data", E("\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]"), 4,
	  "lie beyond" },
	{ "a hole at the beginning", E("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8,
	  "begins at 4, but the data before it ends at 0" },
	{ "a hole in the middle",
	  "{\"x\":" F4 ",\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[5,6]}}", 6,
	  "tensor 'y': begins at 5, but the data before it ends at 4" },
	{ "bytes behind the last tensor", "{\"x\":" F4 "}", 5, "5 bytes of data, but the tensors have 4" },
	{ "data without tensors", "{}", 1, "1 bytes of data, but the tensors have 0" },
	{ "an overlap", "{\"x\":" F4 ",\"y\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[3,6]}}", 6,
	  "tensor 'y': begins at 3, inside of 'x', which ends at 4" },
	{ "two tensors in one place", "{\"x\":" F4 ",\"y\":" F4 "}", 4,
	  "tensor 'y': begins at 0, inside of 'x'" },
	{ "an empty tensor inside another",
	  "{\"x\":" F4 ",\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}", 4,
	  "tensor 'y': begins at 2, inside of 'x'" },
	{ "five dimensions", E("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,1]"), 1,
	  "5 dimensions" },
	{ "metadata that is an array", "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
	{ "metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ appears twice" },
	{ "a number in the metadata", "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: not a string" },
	{ "an object in the metadata", "{\"__metadata__\":{\"a\":{}}}", 0, "__metadata__: not a string" },
	{ "a key twice in the metadata", "{\"__metadata__\":{\"a\":\"1\",\"b\":\"\",\"a\":\"2\"}}", 0,
	  "'a' appears twice" },
	{ "bad text in the metadata", "{\"__metadata__\":{\"a\":\"\\x\"}}", 0, "header: byte" },
};

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(bad[i].what,
		        make(strlen(bad[i].header), bad[i].header, strlen(bad[i].header), bad[i].data),
		        bad[i].reason);
	refused("a length beyond the file", make(100, "{}", 2, 0), "a header of 100 bytes in a file of 10");
	refused("a length of the whole file", make(10, "{}", 2, 0), "cut short");
	refused("a length that wraps with 8", make(UINT64_MAX - 7, "{}", 2, 0), "at most 100000000");
	refused("a header above the limit", make(100000001, "{}", 2, 0), "at most 100000000");
	refused("NUL bytes as padding", make(4, "{}\0\0", 4, 0), "only spaces may follow");

	char path[64];
	snprintf(path, sizeof path, "%s/t.safetensors", folder);
	truncate(path, 7);
	refused("seven bytes", path, "7 bytes; a safetensors file has at least 8");
	truncate(path, 0);
	refused("an empty file", path, "0 bytes");
	ok(!ft_safetensors_open(folder) && ft_last_error() == FT_EFAIL, "a folder is no file");
	unlink(path);
	ok(!ft_safetensors_open(path) && ft_last_error() == FT_EFAIL && strstr(ft_message(), "No such file"),
	   "a file that is not there");
	mkfifo(path, 0600);
	ok(!ft_safetensors_open(path) && ft_last_error() == FT_EFAIL, "a fifo does not block");
	unlink(path);

	/* Each byte of an entry's text counts against a bound. */
	struct ft_buf b = { 0 };
	ft_buf_printf(&b, "{\"x\":{\"shape\":[%70000s]}}", "");
	refused("an entry of 70000 bytes", make(b.len, (char *)b.data, b.len, 0), "longer than 65536");
	ft_buf_free(&b);
	ft_buf_printf(&b, "{\"x\":%.*s}", 3000, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	refused("deep nesting", make(b.len, (char *)b.data, b.len, 0), "ends too early");
	ft_buf_free(&b);
}

static void test_good(void)
{
	struct ft_safetensors *s = open_text("{}", 0);
	ok(s && ft_safetensors_count(s) == 0 && !ft_safetensors_find(s, "x") && !ft_safetensors_at(s, 0),
	   "no tensors");
	ft_safetensors_close(s);

	s = open_text("{\"__metadata__\":null}", 0);
	ok(s != NULL, "metadata that is null");
	ft_safetensors_close(s);

	/* Order of entries, white space, padding, a length that is no multiple of
	 * 8, scalars, empty tensors at borders, escapes, an empty name. */
	s = open_text("{ \"b\" : {\"data_offsets\":[1, 5],\n\t\"shape\":[],\"dtype\":\"F32\"},\r\n"
	              "\"e1\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[1,1]},"
	              "\"\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]},"
	              "\"__metadata__\":{\"a\":\"1\\u0000\",\"\":\"{]\\\"\"},"
	              "\"\\u00e9\\n\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,1],\"data_offsets\":[0,1]},"
	              "\"e2\":{\"dtype\":\"F8_E4M3\",\"shape\":[0,0],\"data_offsets\":[5,5]}}     ",
	              5);
	ok(s != NULL, "a file with everything unusual that is legal");
	if (!s)
		return;
	is_int((long long)ft_safetensors_count(s), 5, "tensors in it");
	const struct ft_stored *t = ft_safetensors_find(s, "b");
	ok(t && t->rank == 0 && t->bytes == 4 && t->dtype == FT_F32 && !memcmp(t->data, "\1\2\3\4", 4),
	   "a scalar at an odd place");
	t = ft_safetensors_find(s, "\xc3\xa9\n");
	ok(t && t->rank == 4 && t->bytes == 1 && !memcmp(t->data, "\0", 1), "an escaped name");
	t = ft_safetensors_find(s, "e1");
	ok(t && t->rank == 2 && t->shape[0] == 3 && t->shape[1] == 0 && t->bytes == 0, "an empty tensor");
	ok(ft_safetensors_find(s, "") && !ft_safetensors_find(s, "__metadata__") &&
	           !ft_safetensors_find(s, "c"),
	   "names that are there, and not");
	int rising = 1;
	for (size_t i = 1; i < 5; i++)
		rising &= ft_safetensors_at(s, i - 1)->data <= ft_safetensors_at(s, i)->data;
	ok(rising && !ft_safetensors_at(s, 5), "tensors come in the order of the data");
	ft_safetensors_close(s);
}

/* Texts that are not JSON, in places of a header where JSON stands. Only
 * files of the suite that any parser must refuse. */
static void test_json_suite(void)
{
	const char *dir = "../shared/data/malformed/json";
	DIR *d = opendir(dir);
	if (!d) {
		tap_skip("JSONTestSuite is not beside the repository");
		return;
	}
	static const char *const frame[] = {
		"%.*s", "{\"x\":%.*s}", "{\"__metadata__\":%.*s}", "{\"__metadata__\":{\"a\":%.*s}}",
		"{\"x\":{\"dtype\":\"U8\",\"shape\":%.*s,\"data_offsets\":[0,0]}}"
	};
	int tried = 0, accepted = 0;
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		static char text[300000];
		struct ft_buf b = { 0 };
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		FILE *f = e->d_name[0] == 'n' ? fopen(path, "rb") : NULL;
		if (!f)
			continue;
		size_t n = fread(text, 1, sizeof text, f);
		fclose(f);
		for (size_t i = 0; i < sizeof frame / sizeof *frame; i++) {
			/* By hand: the text may have NUL bytes. */
			const char *hole = strstr(frame[i], "%.*s");
			b.len = 0;
			ft_buf_append(&b, frame[i], (size_t)(hole - frame[i]));
			ft_buf_append(&b, text, n);
			ft_buf_append(&b, hole + 4, strlen(hole + 4));
			struct ft_safetensors *s = ft_safetensors_open(make(b.len, (char *)b.data, b.len, 0));
			tried++;
			if (s || ft_last_error() != FT_EFORMAT)
				printf("# %s in frame %zu\n", e->d_name, i);
			accepted += s || ft_last_error() != FT_EFORMAT;
			ft_safetensors_close(s);
		}
		ft_buf_free(&b);
	}
	closedir(d);
	ok(tried > 500 && accepted == 0, "all %d headers with malformed JSON are refused", tried);
}

static struct ft_stored stored(const char *name, enum ft_dtype t, int rank, int64_t rows, int64_t cols,
                               const void *p)
{
	size_t n = ft_dtype_size(t) * (size_t)((rank > 0 ? rows : 1) * (rank > 1 ? cols : 1));
	return (struct ft_stored){ name, t, rank, { rows, cols }, p, n, false };
}

static void test_write(void)
{
	static const unsigned char data[256] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 11, 12, 13, 14, 15, 16 };
	char path[64];
	snprintf(path, sizeof path, "%s/w.safetensors", folder);
	const struct ft_stored t[] = {
		stored("b", FT_F32, 1, 2, 0, data),           stored("a", FT_F32, 2, 1, 2, data + 1),
		stored("h", FT_BF16, 2, 3, 1, data + 3),      stored("z", FT_I64, 0, 0, 0, data + 5),
		stored("\"\xc3\xa9", FT_BOOL, 1, 3, 0, data), stored("none", FT_F16, 2, 0, 7, data),
	};
	is_int(ft_safetensors_write(path, t, 6), FT_OK, "write six tensors");
	/* What the reference writer makes of the same tensors, but for the
	 * metadata, which it puts first too. */
	static const char want[] =
		"{\"__metadata__\":{\"format\":\"pt\"}"
		",\"z\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}"
		",\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]}"
		",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}"
		",\"h\":{\"dtype\":\"BF16\",\"shape\":[3,1],\"data_offsets\":[24,30]}"
		",\"none\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[30,30]}"
		",\"\\\"\xc3\xa9\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[30,33]}}";
	char got[2048];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(got, 1, sizeof got, f) : 0, head = (sizeof want - 1 + 7) / 8 * 8;
	if (f)
		fclose(f);
	is_int((long long)n, (long long)(8 + head + 33), "length, padded to 8");
	ok(n > head && (unsigned char)got[0] + 256 * (unsigned char)got[1] == (int)head &&
	           !memcmp(got + 8, want, sizeof want - 1) &&
	           got[8 + head - 1] == (head > sizeof want - 1 ? ' ' : '}'),
	   "header by rank of type, then name");
	struct ft_safetensors *s = ft_safetensors_open(path);
	int same = s != NULL;
	for (size_t i = 0; s && i < 6; i++) {
		const struct ft_stored *r = ft_safetensors_find(s, t[i].name);
		same &= r && r->dtype == t[i].dtype && r->rank == t[i].rank && r->bytes == t[i].bytes &&
		        !memcmp(r->data, t[i].data, r->bytes);
		for (int k = 0; r && k < r->rank; k++)
			same &= r->shape[k] == t[i].shape[k];
	}
	ok(same, "read back as written");
	ft_safetensors_close(s);
}

static void test_write_bad(void)
{
	char path[64];
	snprintf(path, sizeof path, "%s/n.safetensors", folder);
	const struct ft_stored x = stored("x", FT_F32, 1, 1, 0, "abcd");
	struct ft_stored t[2] = { x, x };
	ok(ft_safetensors_write(path, t, 2) == FT_EFAIL && strstr(ft_message(), "given twice"),
	   "one name twice");
	t[1].name = "\xff";
	ok(ft_safetensors_write(path, t, 2) == FT_EFAIL && strstr(ft_message(), "UTF-8"),
	   "a name that is not UTF-8");
	t[1].name = "__metadata__";
	is_int(ft_safetensors_write(path, t, 2), FT_EFAIL, "a reserved name");
	t[1].name = "y";
	t[1].bytes = 5;
	is_int(ft_safetensors_write(path, t, 2), FT_EFAIL, "bytes that do not match the shape");
	t[1].bytes = 4;
	t[1].shape[0] = INT64_MAX;
	is_int(ft_safetensors_write(path, t, 2), FT_EFAIL, "a shape that overflows");
	ok(access(path, F_OK) < 0, "and no file appeared");
	is_int(ft_safetensors_write(path, t, 0), FT_OK, "no tensors at all");
	struct ft_safetensors *s = ft_safetensors_open(path);
	ok(s && ft_safetensors_count(s) == 0, "and they are read again");
	ft_safetensors_close(s);
	is_int(ft_safetensors_write("/dev/full", &x, 1), FT_EFAIL, "a full disk");
	is_int(ft_safetensors_write("/nonexistent/x", &x, 1), FT_EFAIL, "a folder that is not there");
}

/* Many tensors: found each, in time that does not grow with their square. */
static void test_many(void)
{
	enum { N = 20000 };
	struct ft_stored *t = ft_alloc(N, sizeof *t);
	char (*name)[32] = ft_alloc(N, sizeof *name);
	char path[64];
	snprintf(path, sizeof path, "%s/many.safetensors", folder);
	for (int i = 0; i < N; i++) {
		snprintf(name[i], sizeof *name, "layer.%d.weight", (i * 7919) % N);
		t[i] = stored(name[i], FT_U8, 1, 1, 0, name[i] + 6);
	}
	is_int(ft_safetensors_write(path, t, N), FT_OK, "write 20000 tensors");
	double begun = ft_now();
	struct ft_safetensors *s = ft_safetensors_open(path);
	int found = 0;
	for (int i = 0; s && i < N; i++) {
		const struct ft_stored *r = ft_safetensors_find(s, name[i]);
		found += r && r->bytes == 1 && *(const char *)r->data == name[i][6];
	}
	is_int(found, N, "and find each");
	ok(ft_now() - begun < 5, "in time (%.3f s)", ft_now() - begun);
	ft_safetensors_close(s);
	free(name);
	free(t);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	test_bad();
	test_good();
	test_json_suite();
	test_write();
	test_write_bad();
	test_many();
	static const char *const left[] = { "t", "w", "n", "many" };
	for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
		char path[64];
		snprintf(path, sizeof path, "%s/%s.safetensors", folder, left[i]);
		unlink(path);
	}
	ok(rmdir(folder) == 0, "nothing else was left in the folder");
	return tap_done();
}

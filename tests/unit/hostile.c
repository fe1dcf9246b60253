/* hostile.c - streams made to harm their reader: each is refused, with the right
 * code, in little memory. */
#include "ft/stream.h"
#include "lib/stream/priv.h"
#include "tests/tap.h"
#include "tests/unit/bytes.h"

#include <sys/resource.h>

#define HEADER "\x84\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x80\xa3" "log\x90"
#define OF(kind) "\x83\xa2" "ft\x01\xa4" "kind" kind "\xa4" "meta\x80"
#define TOKENS OF("\xa6" "tokens")
#define BATCHES OF("\xa7" "batches")
#define MODEL OF("\xa5" "model")
#define END "\x81\xa3" "end\x01"

/* Reads all of a stream of any kind, as its tool would. */
static int consume(const char *path)
{
	static char data[1 << 16];
	struct ft_reader *r = ft_reader_open(path, NULL);
	if (!r)
		return ft_last_error();
	struct ft_example e;
	struct ft_batch b;
	struct ft_tensor_desc d;
	char kind = ft_reader_kind(r)[0];
	int rc;
	while ((rc = kind == 't' ? ft_example_read(r, &e) : kind == 'b' ? ft_batch_read(r, &b) : ft_tensor_read(r, &d)) > 0)
		if (kind == 'm' && (rc = d.bytes > sizeof data ? -1 : ft_tensor_data(r, &d, data)) < 0)
			break;
	ft_reader_close(r);
	return rc;
}

static void refused(const char *p, size_t n, int code, const char *reason, const char *what)
{
	int rc = consume(path_of(p, n));
	int good = ok(rc == code && strstr(ft_message(), reason), "%s", what);
	if (!good)
		printf("# code %d, wanted %d, with '%s'\n", rc, code, reason);
}

#define REFUSED(text, reason, what) refused(text, sizeof text - 1, FT_EFORMAT, reason, what)
#define CUT(text, what) refused(text, sizeof text - 1, FT_ECUT, "cut short inside record 1", what)

/* ---- lengths and counts that nothing follows ---- */
static void check_lengths(void)
{
	CUT(HEADER "\x81\xa1" "x\xc6\x0f\xff\xff\xff" "abc", "a bin of 255 MiB that is not there");
	CUT(HEADER "\x81\xa1" "x\xdd\0\x0f\xff\xff\xa1" "a", "an array of a million that is not there");
	CUT(HEADER "\xde\xff\xff", "a map of 65535 that is not there");
	CUT(HEADER "\x81\xa1" "x\xdb\0\x10\0\0" "abc", "a string of 1 MiB that is not there");
	CUT(HEADER "\x81\xa1" "x\xc5\x01", "half a length");
	REFUSED(HEADER "\x81\xa1" "x\xc6\xff\xff\xff\xff", "a value of 4294967295 bytes; at most 268435456",
	        "a bin of 4 GiB");
	REFUSED(HEADER "\x81\xa1" "x\xdb\xff\xff\xff\xff", "a value of 4294967295 bytes", "a string of 4 GiB");
	REFUSED(HEADER "\x81\xa1" "x\xdd\xff\xff\xff\xff", "more than 8388608 values", "an array of 4 G values");
	REFUSED(HEADER "\xdf\xff\xff\xff\xff", "more than 8388608 values", "a map of 4 G pairs");
	REFUSED(HEADER "\xdf\x80\0\0\0", "more than 8388608 values", "a map whose doubled count is 0 in 32 bits");
	REFUSED("\xdf\xff\xff\xff\xff", "not a stream of ft", "a header of 4 G pairs");
	char deep[4000] = HEADER "\x81\xa1" "x";
	size_t n = sizeof(HEADER "\x81\xa1" "x") - 1;
	memset(deep + n, 0x91, sizeof deep - n);
	refused(deep, sizeof deep, FT_EFORMAT, "nested deeper than 16", "arrays in arrays");
	memset(deep, 0x91, sizeof deep);
	refused(deep, sizeof deep, FT_EFORMAT, "not a stream of ft", "also in place of a header");
}

/* ---- what a record may not hold ---- */
static void check_values(void)
{
	REFUSED(HEADER "\xc1", "byte 0xc1", "the byte that msgpack does not use");
	REFUSED(HEADER "\x81\xa1" "x\xd4\x01\x02", "extension types", "an extension");
	REFUSED(HEADER "\x81\xa1" "x\xc9\xff\xff\xff\xff\x01", "extension types", "an extension of 4 GiB");
	REFUSED(HEADER "\x81\xa1" "x\xc0" END, "a type that records do not use", "nil");
	REFUSED(HEADER "\x81\xa1" "x\xc3" END, "a type that records do not use", "a boolean");
	REFUSED(HEADER "\x81\xa1" "x\x80" END, "a type that records do not use", "a map in a record");
	REFUSED(HEADER "\x81\xa1" "x\x91\x01" END, "numbers go as bin", "an array of numbers");
	REFUSED(HEADER "\x81\xa1" "x\xcf\x80\0\0\0\0\0\0\0" END, "beyond 2^63", "a number beyond 2^63");
	REFUSED(HEADER "\x81\x01\x01" END, "keys must be strings", "a key that is a number");
	REFUSED(HEADER "\x82\xa1" "x\x01\xa1" "x\x02" END, "'x' stands twice", "a key twice");
	REFUSED(HEADER "\x91\x01" END, "must be a map", "an array for a record");
	REFUSED(HEADER "\x01" END, "must be a map", "a number for a record");
	REFUSED(HEADER "\xde\0\x11" "\xa1" "a\1\xa1" "b\1\xa1" "c\1\xa1" "d\1\xa1" "e\1\xa1" "f\1\xa1" "g\1\xa1" "h\1\xa1"
	        "i\1\xa1" "j\1\xa1" "k\1\xa1" "l\1\xa1" "m\1\xa1" "n\1\xa1" "o\1\xa1" "p\1\xa1" "q\1" END, "17 fields",
	        "17 fields");
	REFUSED(HEADER "\x81\xa1" "x\xa2\xc3(" END, "not UTF-8", "a string that is not UTF-8");
	REFUSED(HEADER "\x81\xa2\xc0\xaf\x01" END, "not UTF-8", "a key in overlong UTF-8");
	REFUSED(HEADER "\x81\xa1" "x\xa3\xed\xa0\x80" END, "not UTF-8", "half a pair of surrogates");
	REFUSED(HEADER "\x81\xa1" "x\xa4\xf4\x90\x80\x80" END, "not UTF-8", "a character beyond Unicode");
	REFUSED(HEADER "\x81\xa1" "x\xa1\xc3" END, "not UTF-8", "a character without its end");
}

/* ---- headers ---- */
static void check_headers(void)
{
	static const char not[] = "not a stream of ft";
	REFUSED("0\ttext\n", not, "text");
	REFUSED("{\"ft\": 1, \"kind\": \"tokens\"}", not, "JSON");
	REFUSED("\x1f\x8b\x08\0\0\0\0\0", not, "gzip");
	REFUSED("\x90", not, "an array");
	REFUSED("\xc1", not, "nothing that msgpack knows");
	REFUSED("\x80", "no whole number 'ft'", "an empty map");
	REFUSED("\x81\xa2" "ft\xa1" "1", "no whole number 'ft'", "a version in text");
	REFUSED("\x81\xa2" "ft\x02", "stream version 2; this program reads version 1", "another version");
	REFUSED("\x81\xa2" "ft\x01", "no 'kind'", "no kind");
	REFUSED("\x82\xa2" "ft\x01\xa4" "kind\x01", "no 'kind'", "a kind that is a number");
	REFUSED("\x82\xa2" "ft\x01\xa4" "kind\xa6" "tokens", "no map 'meta'", "no meta");
	REFUSED("\x84\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x80\xa3" "log\x80", "'log' is not an array",
	        "a log that is a map");
	char history[2000] = OF("\xa6" "tokens") "\xa3" "log\xdc\x03\xe9"; /* 1001 entries, each nil */
	size_t n = sizeof(OF("\xa6" "tokens") "\xa3" "log\xdc\x03\xe9") - 1;
	history[0] = '\x84';
	memset(history + n, 0xc0, 1001);
	refused(history, n + 1001, FT_EFORMAT, "'log' has 1001 entries; at most 1000", "a log without end");
	REFUSED("\x83\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x81\xa1" "x\xc4\x01z", "header: meta: x: a value that JSON has not",
	        "a bin in meta");
	REFUSED("\x83\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x81\xa1" "x\xcb\x7f\xf8\0\0\0\0\0\0",
	        "x: a value that JSON has not", "a NaN in meta");
	REFUSED("\x83\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x82\xa1" "x\x01\xa1" "x\x02", "'x' stands twice",
	        "a key twice in meta");
	REFUSED("\x83\xa2" "ft\x01\xa4" "kind\xa6" "tokens\xa4" "meta\x81\xa2" "x\0\x01", "NUL", "a NUL in a key");
	refused("", 0, FT_ECUT, "empty input", "nothing");
	refused(HEADER, sizeof HEADER - 6, FT_ECUT, "cut short", "half a header");
	refused(HEADER, sizeof HEADER - 1, FT_ECUT, "after record 0: no end record", "a header alone");
	ok(!ft_reader_open(path_of(OF("\xa3" "\x1b[m") END, sizeof(OF("\xa3" "\x1b[m") END) - 1), "tokens") &&
	   strstr(ft_message(), "a \\x1b[m stream"), "escape sequences in a kind do not reach the terminal");
	is_int(ft_reader_open("/nothing/here", NULL) == NULL ? ft_last_error() : 0, FT_EFAIL, "a missing file");
}

/* ---- records that break the rules of their kind ---- */
static void check_examples(void)
{
#define IDS "\xa3" "ids\xc4\x08\1\0\0\0\2\0\0\0"
	is_int(consume(path_of(TOKENS "\x81" IDS END, sizeof(TOKENS "\x81" IDS END) - 1)), 0, "a small example");
	REFUSED(TOKENS "\x80" END, "record 1: ids: there are none", "no ids");
	REFUSED(TOKENS "\x81\xa3" "ids\xc4\x00" END, "ids: there are none", "an empty array of ids");
	REFUSED(TOKENS "\x81\xa3" "ids\xc4\x03\1\0\0" END, "bin of 4-byte numbers", "three quarters of an id");
	REFUSED(TOKENS "\x81\xa3" "ids\xa4" "abcd" END, "bin of 4-byte numbers", "ids that are a string");
	REFUSED(TOKENS "\x81\xa3" "ids\xc4\x04\xff\xff\xff\xff" END, "token 0 is -1", "a negative id");
	REFUSED(TOKENS "\x82" IDS "\xa5" "types\xc4\x01\0" END, "types has 1 entries, expected 2",
	        "types that are too few");
	REFUSED(TOKENS "\x82" IDS "\xa6" "labels\xc4\x0c\0\0\0\0\0\0\0\0\0\0\0\0" END, "labels has 3 entries, expected 1 or 2",
	        "labels that are too many");
	REFUSED(TOKENS "\x82" IDS "\xa5" "words\xc4\x04\0\0\0\0" END, "words has 1 entries, expected 2", "words that are too few");
	REFUSED(TOKENS "\x82" IDS "\xa5" "words\xc4\x08\0\0\0\0\xfe\xff\xff\xff" END, "words: number 1 is -2", "a word below -1");
	REFUSED(TOKENS "\x82" IDS "\xa7" "targets\xc4\x04\0\0\xc0\x7f" END, "number 0 is not finite",
	        "a target that is NaN");
	REFUSED(TOKENS "\x82" IDS "\xa7" "targets\xc4\x04\0\0\x80\xff" END, "number 0 is not finite",
	        "a target of minus infinity");
#define W(doc, index, count) doc "\0\0\0\0\0\0\0" index "\0\0\0\0\0\0\0" count "\0\0\0\0\0\0\0"
	REFUSED(TOKENS "\x82" IDS "\xa6" "window\xc4\x08" "\0\0\0\0\0\0\0\0" END, "window has 1 entries, expected 3",
	        "half a window");
	REFUSED(TOKENS "\x82" IDS "\xa6" "window\xc4\x18" W("\5", "\2", "\2") END, "window: 2 of 2, of document 5",
	        "a window beyond the last");
	REFUSED(TOKENS "\x82" IDS "\xa6" "window\xc4\x18" W("\5", "\0", "\0") END, "window: 0 of 0", "a window of none");
	REFUSED(TOKENS "\x82" IDS "\xa6" "window\xc4\x18" "\0\0\0\0\0\0\x20\0" "\0\0\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0" END,
	        "of document 9007199254740992, is not possible", "a document's number of more than 53 bits");
	REFUSED(TOKENS "\x82" IDS "\xa4" "size\xc4\x08" "\0\0\0\0\0\0\0\0" END, "size has 1 entries, expected 3", "half a size");
	REFUSED(TOKENS "\x82" IDS "\xa4" "size\xc4\x18" W("\2", "\3", "\1") END,
	        "size: 2 bytes with 3 characters and 1 words", "more characters than bytes");
	REFUSED(TOKENS "\x82" IDS "\xa4" "size\xc4\x18" W("\5", "\2", "\4") END, "5 bytes with 2 characters and 4 words",
	        "more words than characters have room for");
	REFUSED(TOKENS "\x82" IDS "\xa6" "window\x01" END, "window: must be a bin", "a window that is a number");
}

static void check_batches(void)
{
#define OFFSETS(a, b) "\xa7" "offsets\xc4\x0c\0\0\0\0" a "\0\0\0" b "\0\0\0"
	is_int(consume(path_of(BATCHES "\x82" IDS OFFSETS("\1", "\2") END, sizeof(BATCHES "\x82" IDS OFFSETS("\1", "\2") END) - 1)),
	       0, "a small batch");
	REFUSED(BATCHES "\x81" IDS END, "offsets has 0 entries", "no offsets");
	REFUSED(BATCHES "\x82" IDS "\xa7" "offsets\xc4\x04\0\0\0\0" END, "offsets has 1 entries", "no rows");
	REFUSED(BATCHES "\x82" IDS OFFSETS("\1", "\3") END, "offsets go from 0 to 3, expected 0 to 2",
	        "offsets beyond the ids");
	REFUSED(BATCHES "\x82" IDS OFFSETS("\2", "\2") END, "entry 2 does not rise", "an empty row");
	REFUSED(BATCHES "\x82" IDS OFFSETS("\5", "\2") END, "entry 2 does not rise", "offsets that fall");
	REFUSED(BATCHES "\x82" IDS "\xa7" "offsets\xc4\x08\1\0\0\0\2\0\0\0" END, "offsets go from 1",
	        "offsets that begin late");
	REFUSED(BATCHES "\x82" IDS "\xa7" "offsets\xc4\x08\0\0\0\0\xfe\xff\xff\xff" END, "offsets go from 0 to -2",
	        "offsets that end below 0");
	REFUSED(BATCHES "\x82\xa3" "ids\xc4\0\xa7" "offsets\xc4\x08\0\0\0\0\0\0\0\0" END, "does not rise",
	        "a batch of nothing");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa5" "types\xc4\x03\0\0\0" END, "types has 3",
	        "types that are too many");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa5" "words\xc4\x0c\0\0\0\0\0\0\0\0\0\0\0\0" END, "words has 3",
	        "words that are too many");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa6" "labels\xc4\x04\0\0\0\0" END, "labels has 1",
	        "a label too few");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa7" "targets\xc4\x0c\0\0\0\0\0\0\0\0\0\0\0\0" END,
	        "targets has 3 entries, expected a multiple of 2", "targets that do not divide");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa3" "src\x91\xa1" "a" END, "src has 1 entries, expected 2",
	        "a source too few");
	REFUSED(BATCHES "\x83" IDS OFFSETS("\1", "\2") "\xa6" "window\xc4\x18" W("\0", "\0", "\1") END,
	        "window has 3 entries, expected 6", "a window too few");
}

/* What another model predicted. */
static void check_teachers(void)
{
#define TAUGHT(fields) BATCHES fields IDS OFFSETS("\1", "\2")
#define ONE "\xa7" "teacher\xc4\x04\0\0\0\0"
	REFUSED(TAUGHT("\x83") "\xa7" "teacher\xc4\x03\0\0\0" END, "teacher: must be a bin of 4-byte numbers",
	        "three quarters of a prediction");
	REFUSED(TAUGHT("\x84") ONE "\xab" "teacher_ids\xc4\0" END, "teacher_ids has 0 entries, expected 1", "a word too few");
	REFUSED(TAUGHT("\x84") ONE "\xab" "teacher_ids\xc4\x04\xff\xff\xff\xff" END, "number 0 is -1", "a word below 0");
	REFUSED(TAUGHT("\x83") "\xa7" "teacher\xc4\x04\0\0\xc0\x7f" END, "teacher: number 0 is not finite",
	        "a prediction that is NaN");
	REFUSED(TAUGHT("\x83") "\xa9" "reference\xc4\x04\0\0\0\0" END, "reference has 1 entries, expected 2 (rows)",
	        "a reference too few");
	REFUSED(TAUGHT("\x83") "\xa6" "labels\xc4\x03\0\0\0" END, "labels: must be a bin of 4-byte numbers",
	        "three quarters of a label");
}

static void check_tensors(void)
{
#define TENSOR "\x84\xa6" "tensor\xa1" "w\xa5" "dtype\xa3"
#define DATA4 "\x81\xa4" "data\xc4\x04\0\0\0\0"
#define TWO "\xa5" "shape\xc4\x08\2\0\0\0\0\0\0\0"
	is_int(consume(path_of(MODEL TENSOR "F16" TWO "\xa5" "bytes\x04" DATA4 "\x81\xa3" "end\x02",
	                       sizeof(MODEL TENSOR "F16" TWO "\xa5" "bytes\x04" DATA4 "\x81\xa3" "end\x02") - 1)), 0,
	                       "a small model");
	REFUSED(MODEL DATA4 END, "expected the name of a tensor", "data without a tensor");
	REFUSED(MODEL TENSOR "F15" TWO "\xa5" "bytes\x04" END, "'F15' is not known", "a dtype that is not known");
	REFUSED(MODEL "\x82\xa6" "tensor\xa1" "w\xa5" "dtype\xa8" "F3200000" END, "without a dtype",
	        "a dtype that is too long");
	REFUSED(MODEL TENSOR "F16" TWO "\xa5" "bytes\x08" END, "does not follow from shape",
	        "more bytes than the shape has");
	REFUSED(MODEL TENSOR "F16" TWO "\xa5" "bytes\xff" END, "without its number of bytes", "negative bytes");
	REFUSED(MODEL TENSOR "F16\xa5" "shape\xc4\x08\xff\xff\xff\xff\xff\xff\xff\xff\xa5" "bytes\x04" END, "does not fit",
	        "a negative size");
	REFUSED(MODEL TENSOR "F16\xa5" "shape\xc4\x10\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\xa5" "bytes\0" END, "does not fit",
	        "sizes whose product is 0 in 64 bits");
	REFUSED(MODEL TENSOR "F64\xa5" "shape\xc4\x08\0\0\0\0\0\0\0\x20\xa5" "bytes\0" END, "does not follow",
	        "bytes that are 0 in 64 bits");
	REFUSED(MODEL TENSOR "F16\xa5" "shape\xc4\x28" "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
	        "\xa5" "bytes\x02" END, "at most 4 int64", "five dimensions");
	REFUSED(MODEL TENSOR "F16" TWO "\xa5" "bytes\x04" END, "expected 1 to 4 bytes of tensor data", "no data");
	REFUSED(MODEL TENSOR "F32" TWO "\xa5" "bytes\x08" DATA4 "\x81\xa4" "data\xc4\0" END, "expected 1 to 4 bytes",
	        "an empty piece");
	REFUSED(MODEL TENSOR "F16" TWO "\xa5" "bytes\x04\x81\xa4" "data\xc4\x05\0\0\0\0\0" END, "expected 1 to 4 bytes",
	        "too much data");
	REFUSED(MODEL TENSOR "F16" TWO "\xa5" "bytes\x04\x81\xa4" "data\xa4" "abcd" END, "expected 1 to 4 bytes",
	        "data that is a string");
}

/* ---- compressed: bombs, damage, windows ---- */
static void bomb(const char *head, size_t n, unsigned char fill, size_t size, const char *reason, const char *what)
{
	unsigned char *p = malloc(size), *z = malloc(1 << 20);
	memset(p, fill, size);
	memcpy(p, head, n);
	size_t packed = ZSTD_compress(z, 1 << 20, p, size, 1);
	refused((char *)z, packed, FT_EFORMAT, reason, what);
	free(p);
	free(z);
}

static void check_compressed(void)
{
	static const char large[] = HEADER "\x81\xa1" "x\xc6\x10\0\0\1", many[] = HEADER "\x81\xa1" "x\xdd\0\x80\0\0";
	bomb(large, sizeof large - 1, 0, 100 << 20, "at most 268435456", "a bin of more than 256 MiB, compressed");
	bomb(many, sizeof many - 1, 0xc0, 16 << 20, "more than 8388608 values", "an array of more than 8 M values");
	REFUSED("\x28\xb5\x2f\xfd\x00\xa0\0\0\0", "damaged zstd data", "a window of 2 GiB");
	REFUSED("\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "damaged zstd data",
	        "a frame of nothing sensible");
	refused("\x28\xb5\x2f\xfd", 4, FT_ECUT, "cut short inside a zstd frame", "a magic number alone");
	unsigned char z[300];
	size_t n = ZSTD_compress(z, sizeof z, HEADER, sizeof HEADER - 1, 1);
	memcpy(z + n, HEADER, sizeof HEADER - 1);
	refused((char *)z, n + sizeof HEADER - 1, FT_EFORMAT, "damaged zstd data", "plain data after a frame");
}

/* Two values that are each as large as one may be, of which nothing but their lengths is looked at. */
static void check_large(void)
{
	static const unsigned char bin[] = { 0xc6, 0x0f, 0xff, 0xff, 0xff }; /* of 2^28 - 1 bytes */
	size_t half = ((size_t)1 << 28) + 4, n = 1 + 2 * half, size;
	unsigned char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!ok(p != MAP_FAILED, "memory that is not used"))
		return;
	p[0] = 0x92;
	memcpy(p + 1, bin, sizeof bin);
	memcpy(p + 1 + half, bin, sizeof bin);
	int rc = pack_scan(p, n, &size);
	ok(rc == FT_EFORMAT && strstr(ft_message(), "an object of more than 268435456 bytes"), "an object of half a gigabyte: %s", ft_message());
	munmap(p, n);
}

int main(void)
{
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	check_lengths();
	check_values();
	check_headers();
	check_examples();
	check_batches();
	check_teachers();
	check_tensors();
	check_large();
	getrusage(RUSAGE_SELF, &after);
	long grown = after.ru_maxrss - before.ru_maxrss;
	ok(grown < 40 << 10, "all that in little memory (%ld KiB)", grown);
	check_compressed();
	return tap_done();
}

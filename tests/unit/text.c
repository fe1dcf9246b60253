/* Rows of text files: formats, columns, line numbers, labels, compressed files and
 * archives, and what is malformed. */
#include "ft/text.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

/* "pos\tgood\nneg\tbad\n", three times. The archives hold it as a.tsv and as d/b.tsv or
 * ../b.tsv; the tar also holds folders, links and c.txt ("a line\n"). */
static const unsigned char packed_gz[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0xc8, 0x2f, 0xe6, 0x4c, 0xcf,
	0xcf, 0x4f, 0xe1, 0xca, 0x4b, 0x4d, 0xe7, 0x4c, 0x4a, 0x4c, 0xe1, 0x2a, 0x20, 0x28, 0x00, 0x00,
	0x1f, 0x86, 0xc3, 0x51, 0x33, 0x00, 0x00, 0x00,
};
static const unsigned char packed_bz2[] = {
	0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xd5, 0x30, 0xc0, 0x4b, 0x00, 0x00,
	0x17, 0xc1, 0x80, 0x00, 0x30, 0x36, 0x81, 0xc8, 0x00, 0x20, 0x00, 0x22, 0xbf, 0xd5, 0x40, 0xd1,
	0xea, 0x08, 0x06, 0x9a, 0x68, 0xa7, 0x95, 0x65, 0x34, 0x8e, 0x22, 0x34, 0x8d, 0xa3, 0xcc, 0xb2,
	0xf8, 0xbb, 0x92, 0x29, 0xc2, 0x84, 0x86, 0xa9, 0x86, 0x02, 0x58,
};
static const unsigned char packed_xz[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
	0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x32, 0x00, 0x18, 0x5d, 0x00, 0x38,
	0x1b, 0xca, 0xc6, 0xa1, 0x14, 0x48, 0x2f, 0x46, 0x30, 0x40, 0x21, 0x4f, 0x1d, 0x79, 0x9b, 0x54,
	0x90, 0x6f, 0xbd, 0x8e, 0x00, 0x00, 0x00, 0x00, 0xb5, 0x83, 0xeb, 0x5a, 0xf9, 0x23, 0xe8, 0x4d,
	0x00, 0x01, 0x34, 0x33, 0xca, 0x27, 0x7c, 0x24, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
	0x00, 0x04, 0x59, 0x5a,
};
static const unsigned char packed_zst[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0xbd, 0x00, 0x00, 0x88, 0x70, 0x6f, 0x73, 0x09, 0x67, 0x6f,
	0x6f, 0x64, 0x0a, 0x6e, 0x65, 0x67, 0x09, 0x62, 0x61, 0x64, 0x0a, 0x01, 0x00, 0xc9, 0x99, 0x4b,
	0x8b, 0x76, 0xda, 0xba,
};
static const unsigned char packed_zip[] = {
	0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x1f, 0x86,
	0xc3, 0x51, 0x16, 0x00, 0x00, 0x00, 0x33, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x61, 0x2e,
	0x74, 0x73, 0x76, 0x2b, 0xc8, 0x2f, 0xe6, 0x4c, 0xcf, 0xcf, 0x4f, 0xe1, 0xca, 0x4b, 0x4d, 0xe7,
	0x4c, 0x4a, 0x4c, 0xe1, 0x2a, 0x20, 0x28, 0x00, 0x00, 0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00,
	0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x1f, 0x86, 0xc3, 0x51, 0x16, 0x00, 0x00, 0x00, 0x33,
	0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x64, 0x2f, 0x62, 0x2e, 0x74, 0x73, 0x76, 0x2b, 0xc8,
	0x2f, 0xe6, 0x4c, 0xcf, 0xcf, 0x4f, 0xe1, 0xca, 0x4b, 0x4d, 0xe7, 0x4c, 0x4a, 0x4c, 0xe1, 0x2a,
	0x20, 0x28, 0x00, 0x00, 0x50, 0x4b, 0x01, 0x02, 0x14, 0x03, 0x14, 0x00, 0x00, 0x00, 0x08, 0x00,
	0x00, 0x00, 0x21, 0x00, 0x1f, 0x86, 0xc3, 0x51, 0x16, 0x00, 0x00, 0x00, 0x33, 0x00, 0x00, 0x00,
	0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00,
	0x00, 0x00, 0x61, 0x2e, 0x74, 0x73, 0x76, 0x50, 0x4b, 0x01, 0x02, 0x14, 0x03, 0x14, 0x00, 0x00,
	0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x1f, 0x86, 0xc3, 0x51, 0x16, 0x00, 0x00, 0x00, 0x33,
	0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80,
	0x01, 0x39, 0x00, 0x00, 0x00, 0x64, 0x2f, 0x62, 0x2e, 0x74, 0x73, 0x76, 0x50, 0x4b, 0x05, 0x06,
	0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x02, 0x00, 0x68, 0x00, 0x00, 0x00, 0x74, 0x00, 0x00, 0x00,
	0x00, 0x00,
};
static const unsigned char packed_tgz[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xd7, 0x4d, 0x0e, 0x83, 0x20,
	0x10, 0x05, 0x60, 0xb6, 0x7a, 0x0a, 0x4e, 0x00, 0xa2, 0x02, 0xe7, 0x41, 0x31, 0xb6, 0x69, 0xa3,
	0x46, 0xe8, 0xcf, 0xf1, 0x4b, 0xba, 0xb4, 0x4d, 0x9a, 0x2e, 0x40, 0xa3, 0xef, 0xdb, 0x60, 0xd8,
	0x90, 0xf8, 0x32, 0x33, 0x60, 0x39, 0x89, 0xae, 0x08, 0x54, 0x5d, 0xbf, 0xd7, 0x60, 0xb9, 0x7e,
	0xf9, 0x56, 0x42, 0x49, 0x42, 0x25, 0x49, 0xe0, 0xe6, 0xbc, 0x99, 0xc3, 0x91, 0xe4, 0x98, 0x0c,
	0xf3, 0xee, 0xbe, 0x76, 0xfe, 0xaa, 0x5a, 0xe6, 0xaf, 0xcb, 0x92, 0xd0, 0x02, 0xf9, 0x47, 0x37,
	0x8d, 0x2e, 0xeb, 0xc7, 0xd1, 0xe6, 0x43, 0xd7, 0x67, 0x8d, 0xb1, 0xf9, 0xef, 0x0d, 0x02, 0xfb,
	0x71, 0x3d, 0x0f, 0x97, 0xcd, 0xf5, 0x7f, 0x11, 0x1a, 0x80, 0x20, 0xb4, 0xe4, 0x9d, 0x6f, 0xf9,
	0x64, 0x9c, 0x7b, 0x58, 0xd4, 0x7f, 0x1c, 0x27, 0x33, 0xdb, 0xcd, 0xe5, 0x5f, 0x68, 0x29, 0x43,
	0xfe, 0x22, 0xc5, 0x70, 0x3a, 0x78, 0xfe, 0x8c, 0xf1, 0x26, 0xf6, 0x5f, 0xfe, 0x7f, 0xfe, 0x6b,
	0x51, 0x29, 0xcc, 0x7f, 0xcc, 0x7f, 0x88, 0xad, 0x65, 0xfe, 0xe9, 0x57, 0xef, 0xff, 0xfa, 0xf3,
	0xfe, 0x2f, 0x51, 0xff, 0x49, 0xde, 0x7f, 0x34, 0xdc, 0x00, 0x3b, 0xd4, 0x34, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x9e, 0xbc, 0x00, 0xb4, 0x47, 0xe7, 0x63, 0x00,
	0x28, 0x00, 0x00,
};

static char folder[] = "/tmp/ft-unit.XXXXXX", path[100];

static const char *put(const char *name, const void *text, size_t n)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
	return path;
}

/* All rows of a file as "text|pair|label|line;" and at the end the error's reason
 * as "!CODE reason"; names of files in src are cut off. Reused by the next call. */
static const char *rows_of(const char *file, const struct ft_text_options *o)
{
	static struct ft_buf b;
	struct ft_text *t = ft_text_open(file, o);
	struct ft_row r;
	int rc = t ? 1 : ft_last_error();
	b.len = 0;
	while (rc > 0 && (rc = ft_text_next(t, &r)) > 0) {
		const char *line = r.src.p + r.src.n;
		while (line > r.src.p && line[-1] != ':')
			line--;
		char *json = r.json ? json_dumps(r.json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
		struct ft_span label = r.label.p ? r.label : (struct ft_span){ "-", 1 };
		if (json)
			label = (struct ft_span){ json, strlen(json) };
		ft_buf_printf(&b, "%.*s|%.*s|%.*s|%.*s;", (int)r.text.n, r.text.p, (int)r.pair.n,
		              r.pair.p ? r.pair.p : "", (int)label.n, label.p, (int)(r.src.p + r.src.n - line), line);
		free(json);
	}
	if (rc < 0)
		ft_buf_printf(&b, "!%d %s", -rc, strrchr(ft_message(), '/') ? strrchr(ft_message(), '/') + 1
		              : ft_message());
	ft_buf_append(&b, "", 1);
	ft_text_close(t);
	unlink(file);
	return (const char *)b.data;
}

static void check(const char *what, const char *name, const char *text, const struct ft_text_options *o,
                  const char *want)
{
	is_str(rows_of(put(name, text, strlen(text)), o), want, what);
}

#define PLAIN &(struct ft_text_options){ .header = -1 }
#define WITH(...) &(struct ft_text_options){ .header = -1, __VA_ARGS__ }
#define HEADER(yes) &(struct ft_text_options){ .header = yes }

static void lines(void)
{
	check("lines", "a.txt", "one\ntwo, \"x\"\n", PLAIN, "one||-|1;two, \"x\"||-|2;");
	check("an empty file", "a.txt", "", PLAIN, "");
	check("empty lines are texts", "a.txt", "\n\na\n", PLAIN, "||-|1;||-|2;a||-|3;");
	check("CRLF, byte order mark, no last line end", "a.txt", "\xef\xbb\xbfone\r\ntwo", PLAIN,
	      "one||-|1;two||-|2;");
	check("a byte order mark alone", "a.txt", "\xef\xbb\xbf\n", PLAIN, "||-|1;");
	check("without a line end", "a.txt", "\xef\xbb\xbf", PLAIN, "||-|1;");
	check("a long line", "a.txt", "1234\n12345\n", WITH(.max_line = 5),
	      "1234||-|1;!65 a.txt:2: the line is longer than 5 bytes");
	check("a file as one text", "a.tsv", "\xef\xbb\xbfone\ttwo\r\n\nthree\n", WITH(.format = FT_TEXT_FILE),
	      "one\ttwo\r\n\nthree\n||-|1;");
	check("an empty file is an empty text", "a.txt", "", WITH(.format = FT_TEXT_FILE), "||-|1;");
	check("a long file", "a.txt", "12\n456", WITH(.format = FT_TEXT_FILE, .max_line = 5),
	      "!65 a.txt:1: the file is longer than 5 bytes");
	is_str(rows_of(put("a.txt", "a\nb\0c\n", 6), WITH(.format = FT_TEXT_FILE)),
	       "!65 a.txt:1: has a NUL byte; this is not text", "a NUL byte in a file");
	is_str(rows_of(put("a.txt", "a\nb\0c\n", 6), PLAIN),
	       "a||-|1;!65 a.txt:2: has a NUL byte; this is not text", "a NUL byte");
}

static void tsv(void)
{
	check("TSV", "a.tsv", "pos\tgood\nneg\t\"bad\"\n", PLAIN, "good||pos|1;\"bad\"||neg|2;");
	check("one column", "a.tsv", "good\nbad\n", PLAIN, "good||-|1;bad||-|2;");
	check("an empty line in one column", "a.tsv", "good\n\nbad\n", PLAIN, "good||-|1;||-|2;bad||-|3;");
	check("empty lines in two", "a.tsv", "\npos\tgood\n\r\n\nneg\tbad\n\n", PLAIN, "good||pos|2;bad||neg|5;");
	check("empty fields", "a.tsv", "\tgood\npos\t\n", PLAIN, "good|||1;||pos|2;");
	check("a row too short", "a.tsv", "p\tg\nx\n", PLAIN, "g||p|1;!65 a.tsv:2: 1 column where 2 are expected");
	check("a row too long", "a.tsv", "p\tg\np\tx\ty\n", PLAIN,
	      "g||p|1;!65 a.tsv:2: 3 columns where 2 are expected");
	check("columns by number", "a.tsv", "a\tb\tc\n", WITH(.text = "3", .pair = "1", .label = "2"), "c|a|b|1;");
	check("the text is column 1", "a.tsv", "a\tb\n", WITH(.text = "1"), "a||-|1;");
	check("the label is column 2", "a.tsv", "a\tb\n", WITH(.label = "2"), "a||b|1;");
	check("a column that is not there", "a.tsv", "a\tb\n", WITH(.text = "3"),
	      "!65 a.tsv:1: there is no column 3; there are 2");
	check("column 0", "a.tsv", "a\tb\n", WITH(.text = "0"), "!65 a.tsv:1: there is no column 0; there are 2");
	check("columns by name", "a.tsv", "id\treview\tstars\n7\tgood\t5\n", WITH(.text = "review",
	                                                                          .label = "stars"),
		"good||5|2;");
	check("a name that is not there", "a.tsv", "id\treview\n", WITH(.text = "rev"),
	      "!65 a.tsv:1: no column is called 'rev'; there are: id, review");
	check("a header that says what is what", "a.tsv", "label\tsentence\nx\ty\n", PLAIN, "y||x|2;");
	check("a header by option", "a.tsv", "id\ttext\n1\ty\n", HEADER(1), "y||-|2;");
	check("no header by option", "a.tsv", "label\ttext\n", HEADER(0), "text||label|1;");
	check("a header without a text", "a.tsv", "a\tb\n", HEADER(1),
	      "!65 a.tsv:1: no column is called 'text' or 'sentence'; there are: a, b");
	check("a column without a name", "a.tsv", "a\tb\n", WITH(.text = ""), "!65 a.tsv:1: no column is called ''; there are: a, b");
	char many[500] = "", want[500];
	for (int i = 0; i < 100; i++)
		strcat(many, i ? "\tx1" : "x0");
	strcat(many, "\n");
	snprintf(want, sizeof want, "!65 a.tsv:1: no column is called 'y'; there are: x0");
	for (int i = 0; i < 49; i++)
		strcat(want, ", x1");
	strcat(want, ","); /* as many of them as have room */
	check("a name that none of many columns has", "a.tsv", many, WITH(.text = "y"), want);
	struct ft_text_options o = { .header = 0, .text = "name" };
	check("a name without a header", "a.tsv", "a\tb\n", &o,
	      "!2 a.tsv: column 'name' is asked for by name, but there is no header");
}

static void csv(void)
{
	check("CSV", "a.csv", "pos,good\nneg,bad", PLAIN, "good||pos|1;bad||neg|2;");
	check("quotes", "a.csv", "\"a,b\",\"say \"\"x\"\"\"\r\n\"\",\"\"\"\"\r\n", PLAIN, "say \"x\"||a,b|1;\"|||2;");
	check("line ends in quotes", "a.csv", "a,\"1\r\n2\n\n3\"\nb,x\n", PLAIN, "1\r\n2\n\n3||a|1;x||b|5;");
	check("a quoted header", "a.csv", "\"text\",\"label\"\nx,y\n", PLAIN, "x||y|2;");
	check("a byte order mark alone", "a.csv", "\xef\xbb\xbf", PLAIN, "");
	check("and a row", "a.csv", "\xef\xbb\xbf\na,b", PLAIN, "b||a|2;");
	check("a last empty field", "a.csv", "a,b,\n", WITH(.text = "3"), "||a|1;");
	check("spaces belong to fields", "a.csv", "a, b \n", PLAIN, " b ||a|1;");
	check("a quote that does not end", "a.csv", "a,b\nc,\"d\ne,f\n", PLAIN,
	      "b||a|1;!65 a.csv:2: a quoted field begins here and does not end");
	check("a quote inside a field", "a.csv", "a,5\" disk\n", PLAIN,
	      "!65 a.csv:1: a quote inside a field that does not begin with one");
	check("text behind a quote", "a.csv", "a,\"b\"c\n", PLAIN,
	      "!65 a.csv:1: text behind the closing quote of field 2");
	check("a record that is too long", "a.csv", "a,\"b\nc\nd\"\n", WITH(.max_line = 7),
	      "!65 a.csv:1: the line is longer than 7 bytes");
	check("line numbers after all that", "a.csv", "a,\"\n\n\"\n\nb,\n,\n,,\n", PLAIN,
	      "\n\n||a|1;||b|5;|||6;!65 a.csv:7: 3 columns where 2 are expected");
}

static void jsonl(void)
{
	check("JSONL", "a.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"label\":[1],\"text\":\"\\u00e9\"}\n",
	      PLAIN, "a||\"x\"|1;é||[1]|2;");
	check("empty lines, no label, null", "a.jsonl",
	      "\n {\"text\":\"a\"} \r\n\t\n{\"text\":\"b\",\"label\":null}", PLAIN,
	      "a||-|2;b||-|4;");
	check("other members", "a.ndjson", "{\"q\":\"a\",\"c\":\"b\",\"y\":1.5}\n", WITH(.text = "q",
	                                                                                 .pair = "c",
		.label = "y"), "a|b|1.5|1;");
	check("no text", "a.jsonl", "{\"txt\":\"a\"}\n", PLAIN, "!65 a.jsonl:1: has no 'text'");
	check("no pair", "a.jsonl", "{\"text\":\"a\"}\n", WITH(.pair = "b"), "!65 a.jsonl:1: has no 'b'");
	check("no label that was asked for", "a.jsonl", "{\"text\":\"a\"}\n", WITH(.label = "b"),
	      "!65 a.jsonl:1: has no 'b'");
	check("a text that is no string", "a.jsonl", "{\"text\":5}\n", PLAIN, "!65 a.jsonl:1: 'text' is not a string");
	check("a NUL character", "a.jsonl", "{\"text\":\"a\\u0000\"}\n", PLAIN,
	      "!65 a.jsonl:1: 'text' holds a NUL character");
	check("no object", "a.jsonl", "[\"text\"]\n", PLAIN, "!65 a.jsonl:1: is not a JSON object");
	const char *got = rows_of(put("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\n", 22), PLAIN);
	ok(strncmp(got, "a||-|1;!65 a.jsonl:2: ", 22) == 0, "no JSON: %s", got);
	check("any format by option", "a.csv", "{\"text\":\"a\"}\n", WITH(.format = FT_TEXT_JSONL), "a||-|1;");
}

/* ---- compressed files and archives: twice or more these rows, three times over ---- */

#define ROWS "good||pos|1;bad||neg|2;good||pos|3;bad||neg|4;good||pos|5;bad||neg|6;"

static const struct { const char *name; const unsigned char *bytes; size_t n, head; const char *rows; } packed[] = {
	{ "a.tsv.gz", packed_gz, sizeof packed_gz, 4, ROWS },
	{ "a.tsv.zst", packed_zst, sizeof packed_zst, 4, ROWS },
	{ "a.tsv.xz", packed_xz, sizeof packed_xz, 6, ROWS },
	{ "a.tsv.bz2", packed_bz2, sizeof packed_bz2, 14, ROWS },
	{ "a.zip", packed_zip, sizeof packed_zip, 5, ROWS ROWS },
	{ "a.tgz", packed_tgz, sizeof packed_tgz, 4, ROWS ROWS "a line||-|1;" },
};

static void compressed(void)
{
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
		is_str(rows_of(put(packed[i].name, packed[i].bytes, packed[i].n), PLAIN), packed[i].rows,
		       packed[i].name);
		size_t passed = 0;
		for (size_t cut = packed[i].head; cut < packed[i].n; cut++) /* shorter ones have no magic number */
			passed += !strstr(rows_of(put(packed[i].name, packed[i].bytes, cut), PLAIN), "!65 ");
		is_int((long long)passed, 0, "cut short anywhere it is an error");
	}
}

/* Whatever byte is changed, the rows are the same or there is an error. In zip
 * archives names and dates have no checksum. */
static void changed(void)
{
	unsigned char bytes[1000];
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
		size_t passed = 0;
		for (size_t at = packed[i].head; at < packed[i].n && strcmp(packed[i].name, "a.zip") != 0; at++) {
			memcpy(bytes, packed[i].bytes, packed[i].n);
			bytes[at] ^= 0x55;
			const char *got = rows_of(put(packed[i].name, bytes, packed[i].n), PLAIN);
			passed += !strstr(got, "!65 ") && strcmp(got, packed[i].rows) != 0;
		}
		ok(!passed, "%s: a changed byte is an error", packed[i].name);
	}
}

/* ---- gzip data with what looks like a second header in it ---- */

static uint32_t crc_of(const unsigned char *p, size_t n)
{
	uint32_t crc = 0xffffffff;
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* One member that holds the text as it is. */
static size_t store(unsigned char *out, const void *text, uint16_t n)
{
	static const unsigned char header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1 };
	uint32_t end[2] = { crc_of(text, n), n };
	unsigned char length[4] = { (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)~n, (unsigned char)(~n >> 8) };
	memcpy(out, header, sizeof header);
	memcpy(out + 11, length, 4);
	memcpy(out + 15, text, n);
	for (int i = 0; i < 8; i++)
		out[15 + n + i] = (unsigned char)(end[i / 4] >> i % 4 * 8);
	return 15 + (size_t)n + 8;
}

/* Where a second header may stand the checksum is not compared: such data may have several members. */
static void headers(void)
{
	static const struct { unsigned char bytes[10]; bool may; } cases[] = {
		{ { 0x1f, 0x8b, 8, 1, 1, 1, 1, 1, 0, 3 }, true }, { { 0x1f, 0x8b, 8, 31, 1, 1, 1, 1, 2, 13 }, true },
		{ { 0x1f, 0x8b, 8, 1, 1, 1, 1, 1, 4, 255 }, true }, { { 0x1f, 0x8c, 8, 1, 1, 1, 1, 1, 0, 3 }, false },
		{ { 0x1f, 0x8b, 7, 1, 1, 1, 1, 1, 0, 3 }, false }, { { 0x1f, 0x8b, 8, 32, 1, 1, 1, 1, 0, 3 }, false },
		{ { 0x1f, 0x8b, 8, 1, 1, 1, 1, 1, 1, 3 }, false }, { { 0x1f, 0x8b, 8, 1, 1, 1, 1, 1, 0, 14 }, false },
		{ { 0x1f, 0x1f, 0x8b, 8, 1, 1, 1, 1, 0, 3 }, false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char bytes[100], text[20] = "one\ntwo\n";
		memcpy(text + 8, cases[i].bytes, 10);
		size_t n = store(bytes, text, 18);
		bytes[n - 5] ^= 1; /* of the checksum */
		const char *got = rows_of(put("a.gz", bytes, n), WITH(.format = FT_TEXT_LINES));
		bool refused = strstr(got, "the checksum of the gzip data does not match"), read = strncmp(got, "one||-|1;two||-|2;", 18) == 0;
		ok(cases[i].may ? read && !refused : refused, "%zu: %s", i, cases[i].may ? "may be a header" : "is none");
	}
}

static void members(void)
{
	const char *want[] = { "a.zip/a.tsv", "a.zip/d/b.tsv" };
	struct ft_text_options o = { .header = -1 };
	struct ft_text *t = ft_text_open(put("a.zip", packed_zip, sizeof packed_zip), &o);
	struct ft_row r;
	while (t && ft_text_next(t, &r) > 0)
		;
	json_t *inputs = t ? ft_text_inputs(t) : NULL;
	for (size_t i = 0; i < 2; i++) {
		const json_t *v = json_array_get(inputs, i);
		is_str(json_string_value(json_object_get(v, "name")), want[i], "name of a member");
		is_int(json_integer_value(json_object_get(v, "bytes")), 51, "its bytes");
		is_int((long long)json_string_length(json_object_get(v, "xxh3")), 32, "its digest");
	}
	is_int((long long)json_array_size(inputs), 2, "all members, once");
	json_decref(inputs);
	ft_text_close(t);
	o.member = "*b.tsv";
	is_str(rows_of(put("a.zip", packed_zip, sizeof packed_zip), &o), ROWS, "one member");
	o.member = "*.csv";
	is_str(rows_of(put("a.zip", packed_zip, sizeof packed_zip), &o),
	       "!65 a.zip: no file in it matches '*.csv'",
	       "no member");
	is_str(rows_of(put("a.tsv.gz", packed_gz, sizeof packed_gz), &o), ROWS,
	       "a file that is no archive has no members");
}

/* ---- labels ---- */

static void label(enum ft_task task, size_t outputs, const char *cell, const char *json, const char *want)
{
	json_t *names = json_pack("[s,s,s]", "neg", "pos", "1"), *v = json ? json_loads(json, JSON_DECODE_ANY,
	                                                                                NULL) : NULL;
	struct ft_labels *l = ft_labels_new(task, names, outputs);
	struct ft_row r = { .json = v, .src = { "f:7", 3 } };
	if (json_is_string(v))
		cell = json_string_value(v);
	if (cell)
		r.label = (struct ft_span){ cell, strlen(cell) };
	int32_t index = -1;
	float x[3] = { 9, 9, 9 };
	char got[200];
	if (ft_labels_read(l, &r, &index, x) < 0)
		snprintf(got, sizeof got, "!%s", ft_message());
	else if (task == FT_TASK_CLASSIFY)
		snprintf(got, sizeof got, "%d", index);
	else
		snprintf(got, sizeof got, "%g %g %g", (double)x[0], (double)x[1], (double)x[2]);
	char what[100];
	snprintf(what, sizeof what, "%s: %s", ft_task_name(task), json ? json : cell ? cell : "(none)");
	is_str(got, want, what);
	ft_labels_free(l);
	json_decref(names);
	json_decref(v);
}

#define LETTERS "012345678901234567890123456789012345" /* 36 */
static void labels(void)
{
	label(FT_TASK_CLASSIFY, 0, "pos", NULL, "1");
	label(FT_TASK_CLASSIFY, 0, "1", NULL, "2");
	label(FT_TASK_CLASSIFY, 0, "0", NULL, "!f:7: unknown label '0'; known: neg, pos, 1");
	label(FT_TASK_CLASSIFY, 0, "pos ", NULL, "!f:7: unknown label 'pos '; known: neg, pos, 1");
	label(FT_TASK_CLASSIFY, 0, "", NULL, "!f:7: unknown label ''; known: neg, pos, 1");
	label(FT_TASK_CLASSIFY, 0, NULL, NULL, "!f:7: has no label; --format says how it is written, --no-labels reads texts alone");
	label(FT_TASK_CLASSIFY, 0, NULL, "\"neg\"", "0");
	label(FT_TASK_CLASSIFY, 0, NULL, "1", "2");
	label(FT_TASK_CLASSIFY, 0, NULL, "1.0", "!f:7: the label is not a name");
	label(FT_TASK_CLASSIFY, 0, NULL, "[\"neg\"]", "!f:7: the label is not a name");
	label(FT_TASK_CLASSIFY, 0, NULL, "false", "!f:7: unknown label 'false'; known: neg, pos, 1");
	label(FT_TASK_CLASSIFY, 0, NULL, "null", "!f:7: the label is not a name");
	label(FT_TASK_CLASSIFY, 0, LETTERS LETTERS LETTERS, NULL, "!f:7: unknown label '" LETTERS LETTERS "0123456789012345678901234567'; known: neg, pos, 1");
	label(FT_TASK_MULTILABEL, 3, NULL, "\"pos,neg\"", "1 1 0");
	label(FT_TASK_MULTILABEL, 3, NULL, "[\"x\"]", "!f:7: unknown label 'x'; known: neg, pos, 1");
	label(FT_TASK_MULTILABEL, 3, NULL, "2", "!f:7: unknown label '2'; known: neg, pos, 1");
	label(FT_TASK_REGRESS, 1, LETTERS LETTERS, NULL, "!f:7: the label '" LETTERS "012345678901234567890123' is not a number");
	label(FT_TASK_REGRESS, 1, NULL, "2.5", "2.5 9 9");
	label(FT_TASK_REGRESS, 2, NULL, "[1,1e60]", "!f:7: the label is not a finite number");
	label(FT_TASK_CLASSIFY, 0, NULL, "true", "!f:7: unknown label 'true'; known: neg, pos, 1");
	label(FT_TASK_MULTILABEL, 3, "pos, neg", NULL, "1 1 0");
	label(FT_TASK_MULTILABEL, 3, "", NULL, "0 0 0");
	label(FT_TASK_MULTILABEL, 3, "[\"1\"]", NULL, "0 0 1");
	label(FT_TASK_MULTILABEL, 3, "[\"1\"", NULL, "!f:7: label: ']' expected near end of file (line 1, column 4)");
	label(FT_TASK_MULTILABEL, 3, "pos,,neg", NULL, "!f:7: unknown label ''; known: neg, pos, 1");
	label(FT_TASK_MULTILABEL, 3, NULL, "[]", "0 0 0");
	label(FT_TASK_MULTILABEL, 3, NULL, "[\"neg\",1]", "1 0 1");
	label(FT_TASK_MULTILABEL, 3, NULL, "1", "0 0 1");
	label(FT_TASK_MULTILABEL, 3, NULL, "[[]]", "!f:7: the label is not a name");
	label(FT_TASK_REGRESS, 1, "-2.5e1", NULL, "-25 9 9");
	label(FT_TASK_REGRESS, 1, "5 stars", NULL, "!f:7: the label '5 stars' is not a number");
	label(FT_TASK_REGRESS, 1, "", NULL, "!f:7: the label '' is not a number");
	label(FT_TASK_REGRESS, 1, "nan", NULL, "!f:7: the label is not a finite number");
	label(FT_TASK_REGRESS, 1, "1e60", NULL, "!f:7: the label is not a finite number");
	label(FT_TASK_REGRESS, 1, NULL, "3", "3 9 9");
	label(FT_TASK_REGRESS, 1, NULL, "\"3\"", "3 9 9");
	label(FT_TASK_REGRESS, 1, NULL, "true", "!f:7: the label is not a number");
	label(FT_TASK_REGRESS, 3, NULL, "[1,2,3.5]", "1 2 3.5");
	label(FT_TASK_REGRESS, 3, "[1, 2, 3]", NULL, "1 2 3");
	label(FT_TASK_REGRESS, 3, NULL, "[1,2]", "!f:7: the label has 2 numbers where 3 are expected");
	label(FT_TASK_REGRESS, 3, "1", NULL, "!f:7: the label has 1 number where 3 are expected");
	label(FT_TASK_REGRESS, 3, NULL, "[1,\"2\",3]", "!f:7: the label is not a number");
	json_t *names = json_pack("[s,s]", "a", "a");
	ok(!ft_labels_new(FT_TASK_CLASSIFY, names, 0), "a name twice");
	json_decref(names);
	names = json_pack("[s,i]", "a", 1);
	ok(!ft_labels_new(FT_TASK_CLASSIFY, names, 0) && strstr(ft_message(), "labels: entry 1 is not a string"), "a name that is a number");
	json_decref(names);
	names = json_array();
	ok(!ft_labels_new(FT_TASK_CLASSIFY, names, 0) && strstr(ft_message(), "labels: there are none"), "no names");
	json_decref(names);
}

/* The names that an option gives, as JSON; or "!" and the message. */
static void names(const char *value, const char *want)
{
	json_t *v = ft_label_list("labels", value);
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	char got[300];
	snprintf(got, sizeof got, "%s%s", text ? "" : "!", text ? text : ft_message());
	is_str(got, want, value);
	free(text);
	json_decref(v);
}

static void name_lists(void)
{
	char at[120];
	names("neg,pos", "[\"neg\",\"pos\"]");
	names("one", "[\"one\"]");
	names("a,,b", "!--labels: an empty name");
	names("a,", "!--labels: an empty name");
	names("a,b,a", "!--labels: 'a' stands twice");
	names("a,\xff", "!--labels: a name is not UTF-8");
	put("names", "x y\r\n\r\na,b\n", 11);
	snprintf(at, sizeof at, "@%s", path);
	names(at, "[\"x y\",\"a,b\"]");
	names(at + 1, "[\"x y\",\"a,b\"]");
	put("names", "\n", 1);
	json_t *v = ft_label_list("labels", at);
	ok(!v && strstr(ft_message(), "holds no names"), "a file without names");
	unlink(path);
	v = ft_label_list("labels", at);
	ok(!v && strstr(ft_message(), "No such file"), "a file that is not there");
}

/* Sizes of a text and of its two parts, wherever it is cut; numbers are Python's. */
static void check_size(const char *s, int64_t characters, int64_t words)
{
	struct ft_span text = { s, strlen(s) };
	struct ft_size all = ft_text_size(text, 0, text.n);
	ok(all.bytes == (int64_t)text.n && all.characters == characters && all.words == words,
	   "%zu bytes are %lld characters and %lld words", text.n, (long long)all.characters, (long long)all.words);
	bool add_up = true;
	for (size_t cut = 1; cut < text.n; cut++) {
		struct ft_size a = ft_text_size(text, 0, cut), b = ft_text_size(text, cut, text.n);
		add_up &= a.bytes + b.bytes == all.bytes && a.characters + b.characters == all.characters &&
			a.words + b.words == all.words;
	}
	ok(add_up, "and so are its parts");
}

/* All characters that are white space to Python's str.isspace(). */
static void spaces(void)
{
	static const int32_t space[][2] = {
		{ 0x9, 0xd }, { 0x1c, 0x20 }, { 0x85, 0x85 }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 },
		{ 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
	};
	int wrong = 0;
	for (int32_t c = 0; c < 0x110000; c++) {
		bool is = false;
		for (size_t i = 0; i < sizeof space / sizeof *space; i++)
			is |= c >= space[i][0] && c <= space[i][1];
		wrong += ft_is_space(c) != is;
	}
	is_int(wrong, 0, "white space");
	ok(!ft_is_space_at((struct ft_span){ "\xff", 1 }, 0) && !ft_is_space_at((struct ft_span){ " ", 1 }, 1), "no character is no space");
	ok(ft_text_trimmed((struct ft_span){ "a \xe3\x80\x80", 5 }) == 1 && ft_text_trimmed((struct ft_span){ "\x80\x80", 2 }) == 2 &&
	   ft_text_trimmed((struct ft_span){ " ", 1 }) == 0, "spaces at the end, and bytes that are no character");
	struct ft_size size = ft_text_size((struct ft_span){ "\x80\x80", 2 }, 1, 2);
	ok(size.bytes == 1 && size.characters == 0 && size.words == 0, "half of such bytes");
}

static void sizes(void)
{
	check_size("", 0, 1);
	check_size("  ", 2, 2);
	check_size("one two", 7, 2);
	check_size(" \ta\xc2\xa0" "b\xe2\x80\x83 c\x1c" "d\xe2\x80\x8b" "e\xc2\x85" "f\n", 15, 7);
	check_size("\xc3\xa9\xc3\xa9n \xe3\x80\x80\xf0\x9f\x98\x80 x", 8, 3);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	lines();
	tsv();
	csv();
	jsonl();
	compressed();
	headers();
	changed();
	members();
	labels();
	name_lists();
	spaces();
	sizes();
	struct ft_text_options o = { .header = -1 };
	ok(!ft_text_open(folder, &o) && strstr(ft_message(), "is a folder"), "a folder");
	ok(!ft_text_open("/nonexistent", &o) && ft_last_error() == FT_EFAIL, "a file that is not there");
	is_int(ft_text_format_parse("csv"), FT_TEXT_CSV, "name of a format");
	is_int(ft_text_format_parse("xml"), -1, "no format");
	rmdir(folder);
	return tap_done();
}

/* text.h - labelled text from files: TSV, CSV, JSONL, plain lines, CoNLL columns, whole files.
 *
 * Files may be compressed (gzip, zstd, xz, bzip2), and may be tar and zip
 * archives; they are streamed through libarchive, never extracted. Rows come in
 * file order, each with the place it came from ("train.tsv:12"; in an archive
 * "data.zip/train.tsv:12").
 *
 * A byte order mark at the start, CRLF line ends and a missing final newline
 * are accepted. TSV has no quoting: a tab ends a field, a line end a row. CSV is
 * RFC 4180: fields in double quotes may hold commas, doubled quotes and line
 * ends. In TSV and CSV of two or more columns empty lines are passed over. In
 * CoNLL files a line is a word and a row is a sentence (see below).
 * Whatever else is odd is FT_EFORMAT with file and line: a row with another
 * number of columns or more than 65536, a quote that does not end, a NUL byte, a line that
 * is too long, JSON that is not UTF-8, compressed data that ends early. (Other text that is
 * not UTF-8 is handed on: ft_tok_encode() has a policy for it.)
 */
#ifndef FT_TEXT_H
#define FT_TEXT_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "ft/stream.h"
#include <stdbool.h>

enum ft_text_format {
	FT_TEXT_AUTO, FT_TEXT_TSV, FT_TEXT_CSV, FT_TEXT_JSONL, FT_TEXT_LINES, FT_TEXT_CONLL, FT_TEXT_FILE
};
/* "auto", "tsv", "csv", "jsonl", "lines", "conll", "file"; -1: none of them. */
int ft_text_format_parse(const char *name);

struct ft_text_options {
	enum ft_text_format format; /* AUTO: by the file's name, else lines */
	int header;                 /* 1: first line names columns; 0: not; -1: see ft_text_open */
	const char *text, *pair, *negative, *label; /* column: a name, or a number from 1; NULL: see ft_text_open */
	const char *member;         /* glob of archive members to read; NULL: all regular files */
	size_t max_line;            /* bytes of a line, CoNLL sentence, or file that is one text; more: FT_EFORMAT; 0: 16 MiB */
	bool words;                 /* texts are sentences in words with a tag each (words.h) */
	bool prompts;               /* JSONL may have conversations, and without column choices "prompt" and "completion", or
	                               preferences: "chosen" and "rejected" */
	const char *messages;       /* JSONL: the member that is a conversation; NULL: "messages" */
	const char *choices;        /* JSONL with prompts: the member that is a list of choices; NULL: "choices", beside "context" */
};

struct ft_row {
	struct ft_span text, pair, negative, label; /* p NULL: no such column. Borrowed until the next row. */
	const json_t *json;               /* the label's JSON value in JSONL (array, number, …; a string is `label`, too); else NULL */
	struct ft_span src;               /* "file:line" */
	/* A text that came in words: CoNLL, and arrays in JSONL. `tags` are the words' (NULL:
	 * no such column, or they are in `json`); `lines` where each word stands, or NULL. */
	const struct ft_span *words, *tags; /* [nwords]; NULL: it came as `text` */
	const size_t *lines;
	size_t nwords;
	/* A conversation: what came as messages and as tools; `text` is then its line. NULL: it is none. */
	const json_t *messages, *tools;
	/* Of a conversation whose last reply is preferred to another: it with the other. A text that is preferred to
	 * another is `pair`, and the other `negative`. NULL: nothing is preferred. */
	const json_t *rejected;
	/* Of a question, which is `text`: a list of strings, two or more, and which is right. NULL: it is none. */
	const json_t *choices;
	size_t right;
	bool judged;                      /* json is true or false: whether the completion, or the last reply, is good */
};

struct ft_text;
/* `path` NULL or "-": stdin. Without column choices: JSONL takes "text",
 * "label"; CSV and TSV with a header the columns called "text"/"sentence" and
 * "label"; TSV and CSV without one column 1 as label and 2 as text when there
 * are two or more, else column 1 as text; lines the whole line, file the whole file. With `header`
 * -1 the first line is a header when a column is asked for by name, or when it
 * has columns called "text" or "sentence" and "label". With `words` JSONL takes
 * "tokens" or "words" or "text", and "tags" or "ner_tags" or "labels" or "label".
 * NULL on failure.
 *
 * CoNLL: columns go by number, words from the first and tags from the last. Tabs
 * separate them in a line that has one, else runs of spaces; every word of a file
 * has as many columns. Lines of white space end a sentence, and so do those whose
 * first column is -DOCSTART-. A line that begins with "# " before the first word
 * of a sentence is a comment when it has no tab and not as many columns as the
 * words of the file before it; comments are passed over and counted. */
struct ft_text *ft_text_open(const char *path, const struct ft_text_options *o);
int ft_text_next(struct ft_text *t, struct ft_row *row); /* 1, 0, <0 (message has file:line) */
/* {name, bytes, xxh3} of each file read to its end so far, of the bytes after
 * decompression; new reference. */
json_t *ft_text_inputs(const struct ft_text *t);
/* Empty lines, and comments, passed over so far. */
int64_t ft_text_blank(const struct ft_text *t);
int64_t ft_text_comments(const struct ft_text *t);
void ft_text_close(struct ft_text *t);

/* ---- how much text ---- */
/* What of a text begins in its bytes from .. to - 1: characters, and words as Python's
 * re.split(r"\s+", text) counts them, one more than there are runs of white space. The one
 * more belongs to the part that begins at 0, so that sizes of parts add up to that of the whole. */
struct ft_size ft_text_size(struct ft_span text, size_t from, size_t to);
/* White space as Python's str.isspace() has it. */
bool ft_is_space(int32_t c);
bool ft_is_space_at(struct ft_span text, size_t at); /* the character that begins there; false at the end */
size_t ft_text_trimmed(struct ft_span text);         /* bytes of the text without white space at its end */

/* ---- labels of rows ----
 * tag: words.h reads them. classify: the name of a class. multilabel: a JSON array of names, or names
 * with commas between them; nothing for none. regress: a number, or a JSON array
 * of `outputs` numbers, all finite. A JSON number or boolean is the name it is
 * written as ("1", "true"). */
/* Names from an option's value: "neg,pos", or the lines of a file: "@FILE", or
 * FILE when there is no comma in it and it is there. New reference; FT_EUSAGE. */
json_t *ft_label_list(const char *option, const char *value);

/* ---- what the data is for: the model, and what options say, NULL for nothing ----
 * What a plan says holds (FT_EMATCH); what a folder says is a default. */
bool ft_task_has_names(enum ft_task t); /* its labels have names */
/* An ft_task: without --task classify when there are --labels. <0 on failure. */
int ft_task_choose(const struct ft_model *m, const char *task, const char *labels);
/* The names of the labels; of a head without names "0", "1", ... New reference, NULL on
 * failure. */
json_t *ft_names_choose(const struct ft_model *m, enum ft_task task, const char *labels);

struct ft_labels;
/* `names`: array of strings for classify, multilabel and tag; `outputs`: numbers of a
 * row for regress. NULL on failure. */
struct ft_labels *ft_labels_new(enum ft_task task, const json_t *names, size_t outputs);
/* Reads a row's label: *index for classify, or targets [outputs] for the other
 * two. A row without a label, or with one that is not known, is FT_EFORMAT with
 * file and line. */
int ft_labels_read(struct ft_labels *l, const struct ft_row *row, int32_t *index, float *targets);
void ft_labels_free(struct ft_labels *l); /* NULL is fine */

#endif

/* priv.h - what the files of lib/chat share: the values of the language, and the run that makes them.
 *
 * Everything that compiling or rendering makes lies in the arena of a struct run. A failure writes
 * its message and leaves by longjmp() to the function that began the run, which lets the arena go:
 * in an interpreter, where every operation of every expression can fail, that is what keeps the
 * code about the language. Between run_begin() and there, nothing but the run owns memory.
 */
#ifndef FT_CHAT_PRIV_H
#define FT_CHAT_PRIV_H

#include "ft/chat.h"
#include "ft/err.h"

#include <setjmp.h>
#include <string.h>

/* ---- limits ---- */
#define CHAT_SOURCE ((size_t)1 << 20)   /* bytes of a template */
#define CHAT_OUTPUT ((size_t)64 << 20)  /* bytes of a rendering */
#define CHAT_MEMORY ((size_t)256 << 20) /* bytes of values; what is not used any more counts, too */
#define CHAT_STEPS  ((uint64_t)1 << 25)  /* evaluations, turns of loops, characters gone through */
#define CHAT_DEPTH  800                 /* of expressions, statements, macros and data inside each other */
#define CHAT_RANGE  100000              /* numbers in a range(), as in the reference */

/* ---- values ---- */
struct run;
enum kind {
	ABSENT, /* an argument that was not given; never seen by templates */
	UNDEFINED, NONE, BOOL, INT, REAL, TEXT,
	LIST, TUPLE, VIEW, /* VIEW: keys, values or items of a map */
	STREAM,            /* made by a filter such as map: can be gone through once */
	MAP, SPACE,        /* SPACE: a namespace(), the one thing that changes */
	MACRO, FUNCTION, METHOD, LOOP,
};

struct text { /* valid UTF-8; never changed once it is a value's */
	const char *s;
	size_t n;
	const uint8_t *marks; /* where each byte came from (FT_CHAT_DATA, …); NULL: all from `mark` */
	uint8_t mark;
};

struct value {
	uint8_t kind, mark; /* of a text, its own marks count */
	union {
		bool yes;
		int64_t i;
		double r;
		const char *why; /* of an undefined value: the sentence when it is used */
		const struct text *t;
		struct list *list;
		struct map *map;
		const struct macro *macro;
		const struct builtin *function;
		const struct method *method;
		struct loop *loop;
	};
};

struct list { struct value *at; size_t n; bool spent; };
struct pair { struct value key, value; };
struct map { struct pair *at; size_t n, cap; };
struct macro { const struct node *node; struct frame *frame; struct value caller; };
struct method { const struct builtin *code; struct value self; };
struct loop { struct list *items; size_t i; struct value changed; };

struct args {
	struct value *at; /* by place; of a builtin, one for each parameter, ABSENT where not given */
	size_t n;
	struct pair *named;
	size_t nnamed;
};

/* A function, filter, test or method. `params`: names of parameters, in order; "*" takes any. */
struct builtin {
	const char *name;
	size_t least;
	const char *params;
	struct value (*call)(struct run *r, struct value self, struct args *a);
};

/* ---- the run ---- */
struct binding { int id; struct value value; struct binding *next; };
struct frame { struct frame *up; struct binding *first; };

struct run {
	const char *name; /* of the template */
	unsigned line;    /* where it is */
	struct ft_arena arena;
	uint64_t steps;
	unsigned depth;
	struct ft_buf out, marks; /* what was written, and where each byte of it came from */
	struct frame *frame;
	int code; /* of the failure */
	jmp_buf leave;
};
void run_end(struct run *r); /* frees what the run owns */
/* Fails: "NAME:LINE: …". */
_Noreturn void stop(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void stop_memory(struct run *r);
void *take(struct run *r, size_t count, size_t size); /* zeroed */
void spend(struct run *r, size_t steps);
void enter(struct run *r); /* one level deeper */
void leave(struct run *r);
/* Room for one more in an array of `n`, whose capacity is the next power of two. */
void *one_more(struct run *r, void *array, size_t n, size_t size);

/* ---- values (value.c) ---- */
static inline struct value of_none(void) { return (struct value){ .kind = NONE }; }
static inline struct value of_bool(bool yes) { return (struct value){ .kind = BOOL, .yes = yes }; }
static inline struct value of_int(int64_t i) { return (struct value){ .kind = INT, .i = i }; }
static inline struct value of_real(double r) { return (struct value){ .kind = REAL, .r = r }; }
static inline struct value of_text(const struct text *t) { return (struct value){ .kind = TEXT, .t = t }; }
static inline struct value of_list(enum kind kind, struct list *l) { return (struct value){ .kind = kind, .list = l }; }
static inline bool is_list(struct value v) { return v.kind >= LIST && v.kind <= STREAM; }
static inline bool is_number(struct value v) { return v.kind >= BOOL && v.kind <= REAL; }
static inline bool is_callable(struct value v) { return v.kind >= MACRO && v.kind <= METHOD; }
struct value undefined(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void stop_undefined(struct run *r, struct value v);
_Noreturn void stop_large(struct run *r); /* a whole number */
const char *kind_name(struct value v); /* as the reference calls it: "str" */
struct value of_json(struct run *r, const json_t *j, uint8_t mark);
bool truth(struct value v);
bool equal(struct run *r, struct value a, struct value b);
int compare(struct run *r, struct value a, struct value b); /* -1, 0, 1; fails where there is no order */
double real_of(struct value number);
struct list *list_new(struct run *r, size_t n);
void list_add(struct run *r, struct list *l, struct value v); /* of a list that began with 0 */
struct map *map_new(struct run *r);
void map_set(struct run *r, struct map *m, struct value key, struct value v);
struct value *map_find(struct run *r, const struct map *m, struct value key); /* NULL: not there */
struct value *map_named(struct run *r, const struct map *m, const struct text *name);
/* What a loop over the value goes through; fails when there is nothing to go through. */
struct list *items_of(struct run *r, struct value v);
struct list *pairs_of(struct run *r, struct value map);
struct value sorted(struct run *r, struct list *l, const struct list *keys, bool down);

/* ---- texts (text.c) ---- */
struct build { struct run *run; char *s; uint8_t *marks; size_t n, cap; bool mixed; uint8_t mark; };
const struct text *text_of(struct run *r, const char *s, size_t n, uint8_t mark); /* does not copy */
const struct text *text_str(struct run *r, const char *s); /* of a constant */
const struct text *text_part(struct run *r, const struct text *t, size_t from, size_t to); /* bytes */
const struct text *text_join(struct run *r, const struct text *a, const struct text *b);
static inline uint8_t mark_at(const struct text *t, size_t i) { return t->marks ? t->marks[i] : t->mark; }
uint8_t mark_of(const struct text *t); /* of all bytes together */
bool text_is(const struct text *t, const char *s);
bool text_same(const struct text *a, const struct text *b);
size_t text_find(const struct text *t, size_t from, const struct text *part); /* SIZE_MAX: not there */
size_t text_rfind(struct run *r, const struct text *t, size_t before, const struct text *part);
size_t text_chars(const struct text *t);
size_t text_at(const struct text *t, size_t i); /* the byte where character i begins */
void build_add(struct build *b, const char *s, size_t n, uint8_t mark);
void build_part(struct build *b, const struct text *t, size_t from, size_t to);
static inline void build_text(struct build *b, const struct text *t) { build_part(b, t, 0, t->n); }
static inline void build_str(struct build *b, const char *s, uint8_t mark) { build_add(b, s, strlen(s), mark); }
const struct text *build_done(struct build *b);
size_t char_get(const char *s, size_t n, int32_t *c); /* bytes; n > 0 */
size_t char_put(int32_t c, char out[4]);
bool is_white(int32_t c);
const struct text *strip(struct run *r, const struct text *t, const struct text *chars, bool left, bool right);
const struct text *replace(struct run *r, const struct text *t, const struct text *old, const struct text *new,
                           int64_t most);

/* ---- letter case (case.c) ---- */
enum letters { UPPER, LOWER, TITLE, CAPITALIZE };
const struct text *letters(struct run *r, const struct text *t, enum letters how);
const struct text *title_filter(struct run *r, const struct text *t); /* words as the filter sees them */
bool is_printable(int32_t c);

/* ---- values as text (show.c, json.c) ---- */
const struct text *show(struct run *r, struct value v); /* str() */
void show_real(double x, char out[40]);
struct dump { int indent; const struct text *item, *key; bool ascii, sort; }; /* indent < 0: one line */
const struct text *dump_json(struct run *r, struct value v, const struct dump *how);

/* ---- the program ---- */
enum node_kind {
	/* expressions */
	CONST, NAME, MAKE_LIST, MAKE_TUPLE, MAKE_MAP, NEGATIVE, POSITIVE, NOT, AND, OR, ARITHMETIC, CONCAT, COMPARE,
	CHOICE, ATTRIBUTE, ITEM, SLICE, CALL, FILTER, TEST, ARGUMENT,
	/* statements */
	DATA, PRINT, IF, FOR, SET, SET_BLOCK, DEFINE, CALL_BLOCK, FILTER_BLOCK, WITH, GENERATION, BREAK, CONTINUE,
	MEMBER, /* ns.x as a target of set */
};
struct node {
	enum node_kind kind;
	unsigned line;
	int id;              /* of a name */
	int op;              /* of an operator (OP()); SLICE: which parts are there; IF: ELIF */
	struct node *a, *b, *c;
	struct node *body, *other; /* statements, or elements, linked by `next` */
	struct node *next;
	struct value value;
	const struct text *name;
	const struct builtin *code; /* of a filter or test */
};

enum { ELIF = 1 };

struct program {
	struct node *body;
	const struct text **names; /* by id */
	size_t nnames;
	bool has_replies;
};

/* ---- tokens (lex.c) ---- */
enum token_kind { T_END, T_DATA, T_PRINT, T_PRINT_END, T_BLOCK, T_BLOCK_END, T_NAME, T_TEXT, T_NUMBER, T_OP };
struct token {
	enum token_kind kind;
	unsigned line;
	int op; /* the operator's characters, the first one lowest: OP('*', '*') */
	const struct text *text; /* as written, but of a T_TEXT what it means */
	struct value value;      /* of a number */
};
#define OP(a, b) ((a) | (b) << 8)
struct token *lex(struct run *r, const char *source, size_t n); /* ends with T_END */

/* ---- parsing ---- */
struct parser { struct run *run; struct token *t; struct program *p; unsigned loops; };
struct node *node_new(struct parser *p, enum node_kind kind);
int name_id(struct parser *p, const struct text *name);
bool at_op(const struct parser *p, int op);
bool at_name(const struct parser *p, const char *name);
bool skip_op(struct parser *p, int op);
bool skip_name(struct parser *p, const char *name);
void want_op(struct parser *p, int op);
const struct text *want_name(struct parser *p);
_Noreturn void unexpected(struct parser *p, const char *wanted);
struct node *parse_expression(struct parser *p);
struct node *parse_tuple(struct parser *p, bool choice);
struct node *parse_primary(struct parser *p);
struct node *parse_filter(struct parser *p, struct node *of); /* behind '|' */
struct node *parse_filters(struct parser *p, struct node *of); /* |a|b … */
void parse_program(struct run *r, struct program *p, const char *source, size_t n);

/* ---- evaluating ---- */
struct value eval(struct run *r, const struct node *n);
struct value lookup(struct run *r, const struct node *name);
void set_variable(struct run *r, int id, struct value v);
struct value get_attribute(struct run *r, struct value v, const struct text *name); /* v.name */
struct value item(struct run *r, struct value v, struct value key);             /* v[key] */
struct value slice(struct run *r, struct value v, const struct value part[3]);
struct value arithmetic(struct run *r, int op, struct value a, struct value b);
bool contains(struct run *r, struct value box, struct value v);
struct args eval_args(struct run *r, const struct node *list);
struct value call(struct run *r, struct value f, struct args *a);
struct value call_builtin(struct run *r, const struct builtin *f, struct value self, struct args *a);
struct value call_macro(struct run *r, const struct macro *m, struct args *a);
void execute(struct run *r, const struct node *body);
/* Runs the statements in a frame of their own; what they write is the result. */
const struct text *captured(struct run *r, const struct node *body, struct frame *up);
void emit(struct run *r, const struct text *t);
/* Arguments of builtins. */
static inline bool given(const struct args *a, size_t i) { return a->at[i].kind != ABSENT; }
const struct text *text_arg(struct run *r, const struct args *a, size_t i); /* fails unless it is a text */
int64_t int_arg(struct run *r, const struct args *a, size_t i, int64_t absent);
bool bool_arg(const struct args *a, size_t i, bool absent);

/* ---- what is built in: the tables ---- */
const struct builtin *find_builtin(const struct builtin *table, size_t n, const struct text *name);
const struct builtin *find_filter(const struct text *name); /* NULL: none */
const struct builtin *find_test(const struct text *name);
const struct builtin *find_function(const struct text *name);
const struct builtin *find_method(struct value self, const struct text *name);
bool run_test(struct run *r, const struct builtin *test, struct value v, struct args *a);

/* All of them have one form. */
#define BUILTIN(name) struct value name(struct run *r, struct value self, struct args *a)

#endif

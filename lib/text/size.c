/* size.c - how much text there is: characters, and words between white space. */
#include "ft/text.h"
#include "ft/utf8.h"

bool ft_is_space(int32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool continues(char byte)
{
	return (byte & 0xc0) == 0x80;
}

bool ft_is_space_at(struct ft_span text, size_t at)
{
	int32_t c;
	if (at >= text.n)
		return false;
	ft_utf8_get(text.p + at, text.n - at, &c, NULL);
	return ft_is_space(c);
}

size_t ft_text_trimmed(struct ft_span text)
{
	size_t n = text.n, at = n;
	while (at > 0) {
		while (at > 0 && continues(text.p[--at]))
			;
		if (!ft_is_space_at(text, at))
			break;
		n = at;
	}
	return n;
}

struct ft_size ft_text_size(struct ft_span text, size_t from, size_t to)
{
	struct ft_size size = { .bytes = (int64_t)(to - from), .words = from == 0 };
	size_t before = from; /* where the character before the part begins */
	while (before > 0 && continues(text.p[--before]))
		;
	bool space = from > 0 && ft_is_space_at(text, before);
	for (size_t i = from; i < to; i++) {
		if (continues(text.p[i]))
			continue;
		bool was = space;
		space = ft_is_space_at(text, i);
		size.words += space && !was;
		size.characters++;
	}
	return size;
}

/* filters.h - every filter of filters.def, declared. */
#ifndef FT_CHAT_FILTERS_H
#define FT_CHAT_FILTERS_H

#include "priv.h"

#define FILTER_OF(name) BUILTIN(filter_##name)

#define X(name, function, least, params) FILTER_OF(function);
#include "filters.def"
#undef X

#endif

/*
 * Quotes, escapes and variables of one word or line.
 *
 * Bytes are shown to the lexer as they are, but for a few (shell_word.cc):
 *
 *   \u0001  the escape character: a backslash, or a backtick if `# escape=` says so
 *   \u0002  a character without meaning here: control characters, other symbols, the
 *           other escape character, and quotes where they are ordinary text
 *   \u0003  each further byte of a character of several bytes
 *
 * Letters and digits of all scripts are shown as `a` and `1`. Each mode is one
 * answer to the question what ends the text being read.
 */
lexer grammar WordLexer;

fragment CHARACTER : ~[\u0003] [\u0003]* ;
fragment DIGIT     : [0-9] [\u0003]* ;
fragment LETTER    : [a-zA-Z_] [\u0003]* ;
fragment VARNAME   : DIGIT+ | [@*#?\-$!] | LETTER ( LETTER | DIGIT )* ;
fragment ESC       : '\u0001' ;

// --- Text up to the end of the word -----------------------------------------------
SINGLE_QUOTED : '\'' ~[']* '\''? ;                        // nothing in it is special
QUOTE         : '"'                                       -> pushMode(QUOTED) ;
ESCAPED       : ESC CHARACTER ;
LAST_ESCAPE   : ESC ;
VARIABLE      : '$' VARNAME ;                             // $name
OPEN          : '${'                                      -> pushMode(SUBSTITUTION) ;
DOLLAR        : '$' ;
HEREDOC       : '<<' [ \t\r]* ;                           // `<< NAME` is one word
TEXT          : ~['"$<\u0001]+ ;
LESS          : '<'                                       -> type(TEXT) ;

// --- Within double quotes -----------------------------------------------------------
mode QUOTED;
END_QUOTE      : '"'                                      -> popMode ;
QUOTED_ESCAPED : ESC ["$\u0001] ;
QUOTED_ESCAPE  : ESC ;                                    // before anything else: itself
QUOTED_VAR     : '$' VARNAME                              -> type(VARIABLE) ;
QUOTED_OPEN    : '${'                                     -> type(OPEN), pushMode(SUBSTITUTION) ;
QUOTED_DOLLAR  : '$'                                      -> type(DOLLAR) ;
QUOTED_TEXT    : ~["$\u0001]+ ;

// --- Behind "${": the name ----------------------------------------------------------
mode SUBSTITUTION;
NAME           : VARNAME                                  -> mode(OPERATOR) ;
NO_NAME_OP     : [+%]                                     -> type(MODIFIER), mode(VALUE) ;
NO_NAME_SLASH  : '/' '/'?                                 -> type(SLASH), mode(PATTERN) ;
BAD_START      : [{}:] .* ;                               // what follows a fault is not read
NO_NAME_BAD    : ~[{}:+%/@*#?\-$!0-9a-zA-Z_] .*           -> type(BAD_OPERATOR) ;

// --- Behind the name: what is made of the value --------------------------------------
mode OPERATOR;
END            : '}'                                      -> type(CLOSE), popMode ;
MODIFIER       : ( ':' ( ~[#%\u0003] [\u0003]* )? | [+\-?#%] )  -> mode(VALUE) ;
SLASH          : '/' '/'?                                 -> mode(PATTERN) ;
BAD_OPERATOR   : ( ':' [#%] | ~[}:+\-?#%/] ) .* ;

// --- Text up to the closing brace ------------------------------------------------------
mode VALUE;
CLOSE          : '}'                                      -> popMode ;
VALUE_SINGLE   : '\'' ~[']* '\''?                         -> type(SINGLE_QUOTED) ;
VALUE_QUOTE    : '"'                                      -> type(QUOTE), pushMode(QUOTED) ;
VALUE_ESCAPED  : ESC CHARACTER                            -> type(ESCAPED) ;
VALUE_LAST     : ESC                                      -> type(LAST_ESCAPE) ;
VALUE_VAR      : '$' VARNAME                              -> type(VARIABLE) ;
VALUE_OPEN     : '${'                                     -> type(OPEN), pushMode(SUBSTITUTION) ;
VALUE_DOLLAR   : '$'                                      -> type(DOLLAR) ;
VALUE_HEREDOC  : '<<' [ \t\r]*                            -> type(HEREDOC) ;
VALUE_TEXT     : ( ~['"$<}\u0001]+ | '<' )                -> type(TEXT) ;

// --- Text up to the slash behind a pattern ----------------------------------------------
mode PATTERN;
PATTERN_END     : '/'                                     -> mode(VALUE) ;
PATTERN_SINGLE  : '\'' ~[']* '\''?                        -> type(SINGLE_QUOTED) ;
PATTERN_QUOTE   : '"'                                     -> type(QUOTE), pushMode(QUOTED) ;
PATTERN_ESCAPED : ESC CHARACTER                           -> type(ESCAPED) ;
PATTERN_LAST    : ESC                                     -> type(LAST_ESCAPE) ;
PATTERN_VAR     : '$' VARNAME                             -> type(VARIABLE) ;
PATTERN_OPEN    : '${'                                    -> type(OPEN), pushMode(SUBSTITUTION) ;
PATTERN_DOLLAR  : '$'                                     -> type(DOLLAR) ;
PATTERN_HEREDOC : '<<' [ \t\r]*                           -> type(HEREDOC) ;
PATTERN_TEXT    : ( ~['"$</\u0001]+ | '<' )               -> type(TEXT) ;

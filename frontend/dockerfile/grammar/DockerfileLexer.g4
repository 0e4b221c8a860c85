/*
 * Words of one Dockerfile instruction.
 *
 * The lexer sees logical lines: continuations are joined and comments are gone
 * before it starts (line_reader.cc), since line ends know nothing of quotes. It runs
 * over bytes. So that no rule needs a predicate, a few bytes are shown to it as control
 * characters (instruction_line.cc):
 *
 *   \u0001  a backslash that is the escape character (the default)
 *   \u0006  a backtick that is the escape character (`# escape=` says so)
 *   \u0002  any byte outside of ASCII that is none of the blanks below
 *   \u0003  a byte that counts as a blank among flags only
 *   \u0004  a byte of a Unicode blank: separates quoted words
 *   \u0005  both \u0003 and \u0004
 *   \u0007  any control character that is no blank
 *
 * The keyword decides how the rest is cut. Flags come first everywhere.
 */
lexer grammar DockerfileLexer;

fragment A : [aA] ; fragment B : [bB] ; fragment C : [cC] ; fragment D : [dD] ;
fragment E : [eE] ; fragment F : [fF] ; fragment G : [gG] ; fragment H : [hH] ;
fragment I : [iI] ; fragment K : [kK] ; fragment L : [lL] ; fragment M : [mM] ;
fragment N : [nN] ; fragment O : [oO] ; fragment P : [pP] ; fragment R : [rR] ;
fragment S : [sS] ; fragment T : [tT] ; fragment U : [uU] ; fragment V : [vV] ;
fragment W : [wW] ; fragment X : [xX] ; fragment Y : [yY] ;

fragment END       : '\n' ;  // stands behind every line, and nowhere else
fragment ESC       : [\u0001\u0006] ;
fragment BLANK     : [\t\n\u000B\f\r ] ;  // END too
fragment REST      : ~[\n]* ;
fragment FLAG_END  : [\t\n\u000B\f\r \u0003\u0005] ;

// --- The keyword ----------------------------------------------------------------

// Words split at blanks, quotes have no meaning:  FROM image AS name
FROM        : F R O M                   -> mode(LIST) ;
EXPOSE      : E X P O S E               -> mode(LIST) ;
ADD         : A D D                     -> mode(LIST) ;
COPY        : C O P Y                   -> mode(LIST) ;
VOLUME      : V O L U M E               -> mode(LIST) ;

// A command: a JSON array, or text for a shell:  RUN ["make", "all"]   RUN make all
RUN         : R U N                     -> mode(COMMAND) ;
CMD         : C M D                     -> mode(COMMAND) ;
ENTRYPOINT  : E N T R Y P O I N T       -> mode(COMMAND) ;
SHELL       : S H E L L                 -> mode(COMMAND) ;

// The rest of the line as it is:  WORKDIR /my dir
USER        : U S E R                   -> mode(COMMAND) ;
WORKDIR     : W O R K D I R             -> mode(COMMAND) ;
STOPSIGNAL  : S T O P S I G N A L       -> mode(COMMAND) ;
MAINTAINER  : M A I N T A I N E R       -> mode(COMMAND) ;
ONBUILD     : O N B U I L D             -> mode(COMMAND) ;

// Words in which quotes and escapes protect blanks:  ENV a="x y" b=x\ y
ENV         : E N V                     -> mode(PAIRS) ;
LABEL       : L A B E L                 -> mode(PAIRS) ;
ARG         : A R G                     -> mode(PAIRS) ;

// A type, then a command:  HEALTHCHECK CMD curl -f localhost
HEALTHCHECK : H E A L T H C H E C K     -> mode(HEALTH) ;

LINE_BLANK  : BLANK+                    -> skip ;

// Anything else is an error, to be told with a suggestion.
UNKNOWN     : ~[\t\n\u000B\f\r ]+       -> mode(COMMAND) ;

// --- Flags ----------------------------------------------------------------------
// --name=value. Quotes and escapes protect blanks and are removed afterwards; a quote
// that is not closed reaches to the end of the line. "--" alone ends the flags.

fragment FLAG_CHAR
    : ~[\t\n\u000B\f\r \u0003\u0005"'\u0001\u0006]
    | ESC ~[\n]
    | ESC END
    | '"'  ( ~["\n\u0001\u0006] | ESC ~[\n] )* ( '"'  | END | ESC END )
    | '\'' ( ~['\n\u0001\u0006] | ESC ~[\n] )* ( '\'' | END | ESC END )
    ;
fragment FLAG_TEXT : '--' FLAG_CHAR+ ;

// A JSON array of strings counts only if it is all there is up to the end of the line;
// a backslash is JSON's own escape whatever the file's escape character is.
fragment JSON_BLANK  : [\t\r ] ;
fragment HEX         : [0-9a-fA-F] ;
fragment JSON_STRING
    : '"' ( ~["\\\t\n\u000B\f\r\u0001\u0007] | [\u0001\\] ( ["\\/bfnrt\u0001] | 'u' HEX HEX HEX HEX ) )* '"' ;
fragment JSON_ARRAY
    : '[' JSON_BLANK* ( JSON_STRING ( JSON_BLANK* ',' JSON_BLANK* JSON_STRING )* JSON_BLANK* )?
      ']' JSON_BLANK* END ;

// --- FROM, EXPOSE, ADD, COPY, VOLUME --------------------------------------------
mode LIST;
LIST_BLANK   : FLAG_END+                            -> skip ;
LIST_FLAG    : FLAG_TEXT                            -> type(FLAG) ;
LIST_DASHES  : '--'                                 -> type(END_OF_FLAGS), mode(LIST_FIRST) ;
LIST_JSON    : JSON_ARRAY                           -> type(JSON) ;
LIST_WORD    : ( ~[\t\n\u000B\f\r \-\u0003\u0005] ~[\t\n\u000B\f\r ]*
               | '-' ( ~[\t\n\u000B\f\r \-] ~[\t\n\u000B\f\r ]* )? )
                                                    -> type(WORD), mode(LIST_REST) ;

mode LIST_FIRST;
FIRST_BLANK  : BLANK+                               -> skip ;
FIRST_JSON   : JSON_ARRAY                           -> type(JSON) ;
FIRST_WORD   : ~[\t\n\u000B\f\r ]+                  -> type(WORD), mode(LIST_REST) ;

mode LIST_REST;
REST_BLANK   : BLANK+                               -> skip ;
WORD         : ~[\t\n\u000B\f\r ]+ ;

// --- RUN, CMD, ENTRYPOINT, SHELL, and all that take the line as it is -------------
mode COMMAND;
COMMAND_BLANK  : FLAG_END+                          -> skip ;
FLAG           : FLAG_TEXT ;
END_OF_FLAGS   : '--'                               -> mode(COMMAND_REST) ;
COMMAND_JSON   : JSON_ARRAY                         -> type(JSON) ;
COMMAND_TEXT   : ( ~[\t\n\u000B\f\r \-\u0003\u0005] | '-' ~[\n\-] ) REST  -> type(TEXT) ;
COMMAND_DASH   : '-'                                -> type(TEXT) ;

mode COMMAND_REST;
COMMAND_REST_BLANK : BLANK+                         -> skip ;
JSON               : JSON_ARRAY ;
TEXT               : ~[\t\n\u000B\f\r ] REST ;

// --- ENV, LABEL, ARG --------------------------------------------------------------
mode PAIRS;
PAIRS_BLANK  : FLAG_END+                            -> skip ;
PAIRS_FLAG   : FLAG_TEXT                            -> type(FLAG) ;
PAIRS_DASHES : '--'                                 -> type(END_OF_FLAGS), mode(PAIRS_REST) ;
PAIRS_WORD   : ( QUOTED_START QUOTED_CHAR* | '-' ( QUOTED_START QUOTED_CHAR* )? )
                                                    -> type(QUOTED_WORD), mode(PAIRS_REST) ;

mode PAIRS_REST;
QUOTED_BLANK : [\t\n\u000B\f\r \u0004\u0005]+       -> skip ;
QUOTED_WORD  : QUOTED_CHAR+ ;

// Within double quotes an escape protects the next character, within single ones not.
fragment QUOTED_PART
    : ESC ~[\n] | ESC [\u0004\u0005]+ | ESC END
    | '"'  ( ~["\n\u0001\u0006] | ESC ~[\n] )* ( '"'  | END | ESC END )
    | '\'' ~['\n]*                            ( '\'' | END )
    ;
fragment QUOTED_START : ~[\t\n\u000B\f\r \-\u0003\u0004\u0005"'\u0001\u0006] | QUOTED_PART ;
fragment QUOTED_CHAR  : ~[\t\n\u000B\f\r \u0004\u0005"'\u0001\u0006] | QUOTED_PART ;

// --- HEALTHCHECK ------------------------------------------------------------------
mode HEALTH;
HEALTH_BLANK  : FLAG_END+                           -> skip ;
HEALTH_FLAG   : FLAG_TEXT                           -> type(FLAG) ;
HEALTH_DASHES : '--'                                -> type(END_OF_FLAGS), mode(HEALTH_REST) ;
HEALTH_WORD   : ( ~[\t\n\u000B\f\r \-\u0003\u0005] | '-' ) ~[\t\n\u000B\f\r \u0003\u0005]*
                                                    -> type(WORD), mode(COMMAND_REST) ;

mode HEALTH_REST;
HEALTH_REST_BLANK : BLANK+                          -> skip ;
HEALTH_REST_WORD  : ~[\t\n\u000B\f\r \u0003\u0005]+ -> type(WORD), mode(COMMAND_REST) ;

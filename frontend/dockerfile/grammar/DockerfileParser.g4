/*
 * The shape of one Dockerfile instruction.
 *
 * Every line has some parse: wrong counts of words, unknown flags and bad values are
 * found afterwards (parse_instruction.cc), because their messages name what was meant.
 * How a word is split further, `name=value` or a here-document's `<<NAME`, and what
 * `${…}` in it stands for (shell_word.h), is not decided here either.
 */
parser grammar DockerfileParser;

options { tokenVocab = DockerfileLexer; }

instruction
    : ( FROM  | EXPOSE | ADD | COPY | VOLUME )                    flags words      EOF  # list
    | ( RUN | CMD | ENTRYPOINT | SHELL )                          flags command    EOF  # run
    | ( USER | WORKDIR | STOPSIGNAL | MAINTAINER )                flags text       EOF  # line
    | ( ENV | LABEL | ARG )                                       flags pairs      EOF  # pair
    | HEALTHCHECK                                                 flags health     EOF  # check
    | ONBUILD                                                     flags text       EOF  # trigger
    | UNKNOWN                                                     flags text       EOF  # other
    ;

flags   : FLAG* END_OF_FLAGS? ;

// COPY ["a b", "/dest/"]   or   COPY a b /dest/
// (EXPOSE and FROM know no JSON: they take an array as words.)
words   : JSON | WORD* ;

// RUN ["program", "argument"]   or   RUN program argument | program
command : ( JSON | TEXT )? ;

// What is left of the line. For ONBUILD that is an instruction of its own.
text    : ( JSON | TEXT )? ;

// ENV name=value name="other value"   or, of old,   ENV name all the rest
// ARG name[=value] …
pairs   : QUOTED_WORD* ;

// HEALTHCHECK NONE   or   HEALTHCHECK [flags] CMD command
health  : ( WORD command )? ;

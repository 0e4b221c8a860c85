/*
 * What a word is made of.
 *
 * Every text has some parse. Where quotes or braces are not closed, the closing token is
 * missing and the text has ended: the fault is named when the word is expanded
 * (shell_word.cc), since an earlier `${x:?message}` may fail first.
 */
parser grammar WordParser;

options { tokenVocab = WordLexer; }

word   : pieces EOF ;

pieces : ( TEXT | ESCAPED | LAST_ESCAPE | SINGLE_QUOTED | HEREDOC | VARIABLE | DOLLAR
         | quoted | substitution )* ;

// "text $name ${name}"
quoted : QUOTE ( QUOTED_TEXT | QUOTED_ESCAPED | QUOTED_ESCAPE | VARIABLE | DOLLAR
               | substitution )* END_QUOTE? ;

// ${name}   ${name:-value}   ${name#pattern}   ${name/pattern/value}
substitution
    : OPEN BAD_START
    | OPEN NAME? ( CLOSE
                 | MODIFIER pieces CLOSE?
                 | SLASH pieces ( PATTERN_END pieces CLOSE? )?
                 | BAD_OPERATOR
                 )?
    ;

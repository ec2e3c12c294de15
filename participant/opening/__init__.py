"""What an opener does: keys made and vouched for, one sum opened, one model agreed on."""
